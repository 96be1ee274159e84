// Exceptions, added, changed and removed from the dashboard.
//
// Knows: which keys of an exception edits may set.  Does not know: how an edit is shown and saved (`editing`).
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Day, changedDays, changedTexts, given } from '../lib/edits'
import { plain } from '../lib/safe'
import type { Edit, Exception } from '../lib/types'
import { useMay } from './actions'
import { DayField, EditDialog, TextField } from './editing'
import { useTexts } from './text'

/** `name`: what is let through, where that is known already. */
export function AddExceptionButton({ name = '' }: { name?: string }): VNode | null {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const [isOpen, setIsOpen] = useState(false)
  if (!mayEdit) return null
  return (
    <>
      <button type="button" onClick={() => setIsOpen(true)}>
        {say('exception_add')}
      </button>
      {isOpen ? <AddException first={name} onClose={() => setIsOpen(false)} /> : null}
    </>
  )
}

function AddException({ first, onClose }: { first: string; onClose: () => void }): VNode {
  const say = useTexts()
  const [name, setName] = useState(first)
  const [why, setWhy] = useState('')
  const [ticket, setTicket] = useState('')
  const [from, setFrom] = useState<Day>('')
  const [until, setUntil] = useState<Day>('')
  const keys = given({ reason: why.trim(), ticket: ticket.trim(), from, until })
  return (
    <EditDialog title={say('exception_add')} edits={[{ do: 'add-exception', id: name.trim(), keys }]} onClose={onClose}>
      <TextField label={say('domain')} value={name} onInput={setName} isNeeded isLtr />
      <TextField label={say('exception_why')} value={why} onInput={setWhy} />
      <TextField label={say('ticket')} value={ticket} onInput={setTicket} />
      <DayField label={say('from')} day={from} onInput={setFrom} />
      <DayField label={say('until')} day={until} onInput={setUntil} />
    </EditDialog>
  )
}

/** The buttons of one exception. */
export function ExceptionButtons({ exception }: { exception: Exception }): VNode | null {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const [isOpen, setIsOpen] = useState<'' | 'edit' | 'remove'>('')
  if (!mayEdit) return null
  const close = (): void => setIsOpen('')
  const name = plain(exception.name)
  return (
    <span class="actions">
      <button type="button" onClick={() => setIsOpen('edit')}>
        {say('edit')}
        <span class="unseen">: {name}</span>
      </button>
      <button type="button" onClick={() => setIsOpen('remove')}>
        {say('exception_remove')}
        <span class="unseen">: {name}</span>
      </button>
      {isOpen === 'edit' ? <EditException exception={exception} onClose={close} /> : null}
      {isOpen === 'remove' ? (
        <EditDialog
          title={say('exception_remove_what', { name })}
          edits={[{ do: 'remove-exception', id: exception.name }]}
          onClose={close}
        />
      ) : null}
    </span>
  )
}

function EditException({ exception, onClose }: { exception: Exception; onClose: () => void }): VNode {
  const say = useTexts()
  const [why, setWhy] = useState(exception.reason ?? '')
  const [ticket, setTicket] = useState(exception.ticket ?? '')
  const [from, setFrom] = useState<Day>('')
  const [until, setUntil] = useState<Day>('')
  const keys = {
    ...changedTexts({ reason: [exception.reason, why], ticket: [exception.ticket, ticket] }),
    ...changedDays({ from, until }),
  }
  const edits: Edit[] = Object.keys(keys).length ? [{ do: 'set-exception', id: exception.name, keys }] : []
  return (
    <EditDialog title={say('edit_what', { name: plain(exception.name) })} edits={edits} onClose={onClose}>
      <TextField label={say('exception_why')} value={why} onInput={setWhy} />
      <TextField label={say('ticket')} value={ticket} onInput={setTicket} />
      <DayField label={say('from')} day={from} onInput={setFrom} before={exception.from} />
      <DayField label={say('until')} day={until} onInput={setUntil} before={exception.until} />
    </EditDialog>
  )
}
