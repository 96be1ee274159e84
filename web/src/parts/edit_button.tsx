// The button that opens a dialog of an edit, for whoever may edit.
//
// Knows: the role that edits need, whether its dialog is open.  Does not know: what is edited.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { useMay } from './actions'

interface EditButtonProps {
  label: string
  /** What it is about, for screen readers, where several stand on one page. */
  about?: string
  /** The dialog, open until it calls `onClose`. */
  children: (onClose: () => void) => VNode
}

export function EditButton({ label, about, children }: EditButtonProps): VNode | null {
  const mayEdit = useMay('edit')
  const [isOpen, setIsOpen] = useState(false)
  if (!mayEdit) return null
  return (
    <>
      <button type="button" onClick={() => setIsOpen(true)}>
        {label}
        {about ? <span class="unseen">: {about}</span> : null}
      </button>
      {isOpen ? children(() => setIsOpen(false)) : null}
    </>
  )
}
