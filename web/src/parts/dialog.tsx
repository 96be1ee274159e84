// Questions before something is changed, and what came of it.
//
// Knows: dialogs of the browser (focus stays in them, Escape closes).  Does not know: what is changed.
import type { ComponentChildren, VNode } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from '../lib/api'
import { Store, useStore } from '../lib/store'
import { Prose, Stranger, useTexts } from './text'

export interface Told {
  tone: 'good' | 'bad'
  text: string
  remedy?: string
}

const told = new Store<(Told & { number: number }) | null>(null)
let count = 0

/** Tell the reader what came of what they did. */
export function tell(what: Told): void {
  told.set({ ...what, number: ++count })
}

/** Where it is told: read aloud at once, seen until it is closed. */
export function Tellings(): VNode {
  const say = useTexts()
  const what = useStore(told)
  return (
    <div class="tellings" role="status" aria-live="polite">
      {what ? (
        <div class={`telling ${what.tone}`} key={what.number}>
          <div>
            <Stranger text={what.text} max={600} />
            {what.remedy ? (
              <p class="remedy">
              <span>
                <Prose text={what.remedy} max={600} />
              </span>
            </p>
            ) : null}
          </div>
          <button type="button" class="close" aria-label={say('close')} onClick={() => told.set(null)}>
            <span aria-hidden="true">×</span>
          </button>
        </div>
      ) : null}
    </div>
  )
}

/** A failure in the reader's language where it has no words of its own. */
export function useFailure(): (error: unknown) => { text: string; remedy: string } {
  const say = useTexts()
  return error => {
    if (!(error instanceof ApiError)) return { text: error instanceof Error ? error.message : String(error), remedy: '' }
    if (error.status === 0) return { text: error.title || say('failed_no_answer'), remedy: '' }
    return {
      text: error.detail || error.title || say('failed_status', { status: String(error.status) }),
      remedy: error.remedy,
    }
  }
}

interface DialogProps {
  title: string
  /** What the button says that does it. */
  doing: string
  isGrave?: boolean
  /** What to tell; null: the dialog has to be gone on with. */
  onDo: () => Promise<string | null>
  onClose: () => void
  children: ComponentChildren
}

/** A form in a dialog; `onDo` returns what to tell.  It stays open when that fails, with why, and when it goes on. */
export function Dialog({ title, doing, isGrave, onDo, onClose, children }: DialogProps): VNode {
  const say = useTexts()
  const box = useRef<HTMLDialogElement>(null)
  const [failure, setFailure] = useState<{ text: string; remedy: string } | null>(null)
  const [isBusy, setIsBusy] = useState(false)
  const failureOf = useFailure()
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    box.current?.showModal()
    return () => before?.focus?.()
  }, [])
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setIsBusy(true)
    setFailure(null)
    try {
      const text = await onDo()
      if (text === null) {
        setIsBusy(false)
        return
      }
      tell({ tone: 'good', text })
      onClose()
    } catch (error) {
      setFailure(failureOf(error))
      setIsBusy(false)
    }
  }
  return (
    <dialog ref={box} onClose={onClose} aria-labelledby="dialog-title">
      <form onSubmit={event => void submit(event)}>
        <h2 id="dialog-title">{title}</h2>
        {children}
        <div role="alert">
          {failure ? (
            <div class="notice bad">
              <Stranger text={failure.text} max={2000} />
              {failure.remedy ? (
                <p class="remedy">
              <span>
                <Prose text={failure.remedy} max={2000} />
              </span>
            </p>
              ) : null}
            </div>
          ) : null}
        </div>
        <div class="buttons">
          <button type="button" onClick={onClose}>
            {say('cancel')}
          </button>
          <button type="submit" class={isGrave ? 'primary grave' : 'primary'} disabled={isBusy} aria-busy={isBusy}>
            {doing}
          </button>
        </div>
      </form>
    </dialog>
  )
}

interface FieldProps {
  label: string
  hint?: string
  children: (id: string, describedBy: string | undefined) => ComponentChildren
}

let fields = 0

export function Field({ label, hint, children }: FieldProps): VNode {
  const [id] = useState(() => `field-${++fields}`)
  return (
    <div class="field">
      <label htmlFor={id}>{label}</label>
      {children(id, hint ? `${id}-hint` : undefined)}
      {hint ? (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      ) : null}
    </div>
  )
}
