// Exceptions, added, changed and removed from the dashboard.
//
// Knows: which keys of an exception edits may set.  Does not know: how an edit is shown and saved (`editing`).
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Day, changedDays, changedTexts, given } from '../lib/edits'
import { plain } from '../lib/safe'
import type { Edit, Exception } from '../lib/types'
import { EditButton } from './edit_button'
import { DayField, EditDialog, TextField } from './editing'
import { useTexts } from './text'

/** `name`: what is let through, where that is known already. */
export function AddExceptionButton({ name = '' }: { name?: string }): VNode {
  const say = useTexts()
  return <EditButton label={say('exception_add')}>{close => <AddException first={name} onClose={close} />}</EditButton>
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
export function ExceptionButtons({ exception }: { exception: Exception }): VNode {
  const say = useTexts()
  const name = plain(exception.name)
  return (
    <span class="actions">
      <EditButton label={say('edit')} about={name}>
        {close => <EditException exception={exception} onClose={close} />}
      </EditButton>
      <EditButton label={say('exception_remove')} about={name}>
        {close => (
          <EditDialog
            title={say('exception_remove_what', { name })}
            edits={[{ do: 'remove-exception', id: exception.name }]}
            onClose={close}
          />
        )}
      </EditButton>
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
