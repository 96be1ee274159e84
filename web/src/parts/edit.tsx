// Exchanges, changed and added from the dashboard.
//
// Knows: which keys of an exchange edits may set.  Does not know: how an edit is shown and saved (`editing`).
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Day, changedDays, given, namesOf } from '../lib/edits'
import { plain } from '../lib/safe'
import type { Edit, ExchangeWhole } from '../lib/types'
import { Field } from './dialog'
import { EditButton } from './edit_button'
import { ChoiceField, DayField, EditDialog, TextField } from './editing'
import { useTexts } from './text'

export const MODES = ['enforce', 'shadow', 'disabled'] as const
const CATEGORIES = ['exchange', 'ico', 'otc', 'payment', 'media', 'other'] as const

export function EditExchangeButton({ exchange }: { exchange: ExchangeWhole }): VNode {
  const say = useTexts()
  return <EditButton label={say('edit')}>{close => <EditExchange exchange={exchange} onClose={close} />}</EditButton>
}

function EditExchange({ exchange, onClose }: { exchange: ExchangeWhole; onClose: () => void }): VNode {
  const say = useTexts()
  const [added, setAdded] = useState('')
  const [removed, setRemoved] = useState<readonly string[]>([])
  const [mode, setMode] = useState('')
  const [until, setUntil] = useState<Day>('')
  const domains = exchange.names.filter(one => one.form !== 'network').map(written)
  const keys = { ...given({ mode }), ...changedDays({ until }) }
  const names = namesOf(added)
  const edits: Edit[] = [
    ...(names.length ? [{ do: 'add-domains', id: exchange.id, domains: names }] : []),
    ...(removed.length ? [{ do: 'remove-domains', id: exchange.id, domains: [...removed] }] : []),
    ...(Object.keys(keys).length ? [{ do: 'set-exchange', id: exchange.id, keys }] : []),
  ]
  return (
    <EditDialog title={say('edit_what', { name: plain(exchange.name) })} edits={edits} onClose={onClose}>
      <NamesField label={say('edit_add')} value={added} onInput={setAdded} />
      <Field label={say('edit_remove')}>
        {id => (
          <select
            id={id}
            multiple
            size={Math.min(6, Math.max(2, domains.length))}
            onChange={event =>
              setRemoved([...(event.currentTarget as HTMLSelectElement).selectedOptions].map(option => option.value))
            }
          >
            {domains.map(name => (
              <option value={name} key={name}>
                {plain(name)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <ChoiceField
        label={say('edit_mode')}
        value={mode}
        choices={[['', say('edit_unchanged')], ...MODES.map(one => [one, say(`mode_${one}`)] as const)]}
        onChoose={setMode}
      />
      <DayField label={say('edit_until')} day={until} onInput={setUntil} before={exchange.until} />
    </EditDialog>
  )
}

/** A name as the blocklist has it. */
function written(name: ExchangeWhole['names'][number]): string {
  if (/^(=|\*\.)/.test(name.name)) return name.name
  return { subtree: '', exact: '=', below: '*.', network: '' }[name.form] + name.name
}

function NamesField({ label, value, onInput }: { label: string; value: string; onInput: (text: string) => void }): VNode {
  const say = useTexts()
  return (
    <Field label={label} hint={say('edit_add_hint')}>
      {(id, hint) => (
        <textarea
          id={id}
          dir="ltr"
          rows={3}
          maxLength={100_000}
          spellcheck={false}
          autocapitalize="none"
          aria-describedby={hint}
          value={value}
          onInput={event => onInput((event.currentTarget as HTMLTextAreaElement).value)}
        />
      )}
    </Field>
  )
}

export function AddExchangeButton(): VNode {
  const say = useTexts()
  return <EditButton label={say('edit_add_exchange')}>{close => <AddExchange onClose={close} />}</EditButton>
}

function AddExchange({ onClose }: { onClose: () => void }): VNode {
  const say = useTexts()
  const [id, setId] = useState('')
  const [name, setName] = useState('')
  const [category, setCategory] = useState<string>(CATEGORIES[0])
  const [domains, setDomains] = useState('')
  const [order, setOrder] = useState('')
  const keys = given({ name: name.trim(), category, order: order.trim() })
  return (
    <EditDialog
      title={say('edit_add_exchange')}
      edits={[{ do: 'add-exchange', id: id.trim(), keys, domains: namesOf(domains) }]}
      onClose={onClose}
    >
      <TextField label={say('edit_name')} value={name} onInput={setName} isNeeded />
      <TextField label={say('id')} value={id} onInput={setId} isNeeded isLtr />
      <ChoiceField
        label={say('category')}
        value={category}
        choices={CATEGORIES.map(one => [one, say(`category_${one}`)] as const)}
        onChoose={setCategory}
      />
      <NamesField label={say('domains')} value={domains} onInput={setDomains} />
      <TextField label={say('order')} value={order} onInput={setOrder} isLtr />
    </EditDialog>
  )
}
