// Orders, changed and added from the dashboard.
//
// Knows: which keys of an order edits may set.  Does not know: how an edit is shown and saved (`editing`).
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Day, changedDays, changedTexts, given } from '../lib/edits'
import { plain } from '../lib/safe'
import type { Edit, OrderWhole } from '../lib/types'
import { EditButton } from './edit_button'
import { ChoiceField, DayField, EditDialog, TextField } from './editing'
import { MODES } from './edit'
import { useTexts } from './text'

const IMPOSED_BY = ['external', 'house'] as const
const DAYS = ['date', 'received', 'due', 'from', 'until'] as const
type Days = Record<(typeof DAYS)[number], Day>
const NO_DAYS: Days = { date: '', received: '', due: '', from: '', until: '' }

/** The days of an order; `before`: what stands there. */
function DayFields({ days, onChange, before }: { days: Days; onChange: (days: Days) => void; before?: OrderWhole }): VNode {
  const say = useTexts()
  return (
    <>
      {DAYS.map(key => (
        <DayField
          key={key}
          label={say(key)}
          day={days[key]}
          onInput={day => onChange({ ...days, [key]: day })}
          before={before?.[key] ?? null}
        />
      ))}
    </>
  )
}

export function EditOrderButton({ order }: { order: OrderWhole }): VNode {
  const say = useTexts()
  return <EditButton label={say('edit')}>{close => <EditOrder order={order} onClose={close} />}</EditButton>
}

function EditOrder({ order, onClose }: { order: OrderWhole; onClose: () => void }): VNode {
  const say = useTexts()
  const [authority, setAuthority] = useState(order.authority)
  const [title, setTitle] = useState(order.title)
  const [reference, setReference] = useState(order.reference ?? '')
  const [imposedBy, setImposedBy] = useState('')
  const [mode, setMode] = useState('')
  const [days, setDays] = useState(NO_DAYS)
  const keys = {
    ...changedTexts({
      authority: [order.authority, authority],
      title: [order.title, title],
      reference: [order.reference, reference],
    }),
    ...given({ imposed_by: imposedBy, mode }),
    ...changedDays(days),
  }
  const edits: Edit[] = Object.keys(keys).length ? [{ do: 'set-order', id: order.id, keys }] : []
  return (
    <EditDialog title={say('edit_what', { name: plain(order.title || order.id) })} edits={edits} onClose={onClose}>
      <TextField label={say('authority')} value={authority} onInput={setAuthority} isNeeded />
      <TextField label={say('order_title')} value={title} onInput={setTitle} isNeeded />
      <TextField label={say('reference')} value={reference} onInput={setReference} />
      <ImposedBy value={imposedBy} onChoose={setImposedBy} isSet />
      <ChoiceField
        label={say('edit_mode')}
        value={mode}
        choices={[['', say('edit_unchanged')], ...MODES.map(one => [one, say(`mode_${one}`)] as const)]}
        onChoose={setMode}
      />
      <DayFields days={days} onChange={setDays} before={order} />
    </EditDialog>
  )
}

function ImposedBy({ value, onChoose, isSet = false }: { value: string; onChoose: (value: string) => void; isSet?: boolean }): VNode {
  const say = useTexts()
  const choices = IMPOSED_BY.map(one => [one, say(`imposed_by_${one}`)] as const)
  return (
    <ChoiceField
      label={say('imposed_by')}
      value={value}
      choices={isSet ? [['', say('edit_unchanged')], ...choices] : choices}
      onChoose={onChoose}
    />
  )
}

export function AddOrderButton(): VNode {
  const say = useTexts()
  return <EditButton label={say('edit_add_order')}>{close => <AddOrder onClose={close} />}</EditButton>
}

function AddOrder({ onClose }: { onClose: () => void }): VNode {
  const say = useTexts()
  const [id, setId] = useState('')
  const [authority, setAuthority] = useState('')
  const [title, setTitle] = useState('')
  const [reference, setReference] = useState('')
  const [imposedBy, setImposedBy] = useState<string>(IMPOSED_BY[0])
  const [days, setDays] = useState(NO_DAYS)
  const keys = given({
    authority: authority.trim(),
    title: title.trim(),
    reference: reference.trim(),
    imposed_by: imposedBy,
    ...days,
  })
  return (
    <EditDialog
      title={say('edit_add_order')}
      edits={[{ do: 'add-order', id: id.trim(), keys }]}
      onClose={onClose}
    >
      <TextField label={say('id')} value={id} onInput={setId} isNeeded isLtr />
      <TextField label={say('authority')} value={authority} onInput={setAuthority} isNeeded />
      <TextField label={say('order_title')} value={title} onInput={setTitle} isNeeded />
      <TextField label={say('reference')} value={reference} onInput={setReference} />
      <ImposedBy value={imposedBy} onChoose={setImposedBy} />
      <DayFields days={days} onChange={setDays} />
    </EditDialog>
  )
}
