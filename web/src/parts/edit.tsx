// Edits of the blocklist: what is changed, why, and what came of it.
//
// Knows: `POST edits`.  Does not know: files.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { ApiError, get, post } from '../lib/api'
import { who } from '../lib/session'
import { useStore } from '../lib/store'
import type { Edit, EditStanding, ExchangeWhole, Made } from '../lib/types'
import { Reason, changed, useMay } from './actions'
import { Dialog, Field } from './dialog'
import { useTexts } from './text'

const MODES = ['enforce', 'shadow', 'disabled'] as const
const CATEGORIES = ['exchange', 'ico', 'otc', 'payment', 'media', 'other'] as const

/** Names, one in a line or separated by commas. */
export function namesOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))]
}

/** Sends edits; what to tell. */
function useSend(): (edits: Edit[], reason: string) => Promise<string> {
  const say = useTexts()
  return async (edits, reason) => {
    if (!edits.length) throw new Error(say('edit_nothing'))
    const standing = await get<EditStanding>('edits')
    if (!standing.writable) throw new ApiError(409, '', standing.why ?? '', standing.remedy ?? '')
    const { status, answer } = await post<Made>('edits', { base: standing.base, edits, reason })
    changed()
    const told = say(status === 202 || answer.state === 'proposed' ? 'proposed' : 'edit_done')
    return [told, ...(answer.warnings ?? [])].join(' ')
  }
}

export function EditExchangeButton({ exchange }: { exchange: ExchangeWhole }): VNode | null {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const [isOpen, setIsOpen] = useState(false)
  if (!mayEdit) return null
  return (
    <>
      <button type="button" onClick={() => setIsOpen(true)}>
        {say('edit')}
      </button>
      {isOpen ? <EditExchange exchange={exchange} onClose={() => setIsOpen(false)} /> : null}
    </>
  )
}

function EditExchange({ exchange, onClose }: { exchange: ExchangeWhole; onClose: () => void }): VNode {
  const say = useTexts()
  const send = useSend()
  const me = useStore(who)
  const [added, setAdded] = useState('')
  const [removed, setRemoved] = useState<readonly string[]>([])
  const [mode, setMode] = useState('')
  const [until, setUntil] = useState('')
  const [reason, setReason] = useState('')
  const domains = exchange.names.filter(one => one.form !== 'network').map(written)
  const save = (): Promise<string> => {
    const keys = { ...(mode ? { mode } : {}), ...(until ? { until } : {}) }
    const names = namesOf(added)
    const edits: Edit[] = [
      ...(names.length ? [{ do: 'add-domains', id: exchange.id, domains: names }] : []),
      ...(removed.length ? [{ do: 'remove-domains', id: exchange.id, domains: [...removed] }] : []),
      ...(Object.keys(keys).length ? [{ do: 'set-exchange', id: exchange.id, keys }] : []),
    ]
    return send(edits, reason)
  }
  return (
    <Dialog
      title={say('edit_what', { name: exchange.name })}
      doing={say(me.changes === 'two-person' ? 'edit_propose' : 'edit_save')}
      onDo={save}
      onClose={onClose}
    >
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
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={say('edit_mode')}>
        {id => (
          <select id={id} value={mode} onChange={event => setMode((event.currentTarget as HTMLSelectElement).value)}>
            <option value="">{say('edit_unchanged')}</option>
            {MODES.map(one => (
              <option value={one} key={one}>
                {say(`mode_${one}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={say('edit_until')}>
        {id => (
          <input
            id={id}
            type="date"
            value={until}
            onInput={event => setUntil((event.currentTarget as HTMLInputElement).value)}
          />
        )}
      </Field>
      <Reason value={reason} onInput={setReason} />
    </Dialog>
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

export function AddExchangeButton(): VNode | null {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const [isOpen, setIsOpen] = useState(false)
  if (!mayEdit) return null
  return (
    <>
      <button type="button" onClick={() => setIsOpen(true)}>
        {say('edit_add_exchange')}
      </button>
      {isOpen ? <AddExchange onClose={() => setIsOpen(false)} /> : null}
    </>
  )
}

function AddExchange({ onClose }: { onClose: () => void }): VNode {
  const say = useTexts()
  const send = useSend()
  const me = useStore(who)
  const [id, setId] = useState('')
  const [name, setName] = useState('')
  const [category, setCategory] = useState<string>(CATEGORIES[0])
  const [domains, setDomains] = useState('')
  const [order, setOrder] = useState('')
  const [reason, setReason] = useState('')
  const save = (): Promise<string> =>
    send(
      [
        {
          do: 'add-exchange',
          id: id.trim(),
          keys: { name: name.trim(), category, ...(order.trim() ? { order: order.trim() } : {}) },
          domains: namesOf(domains),
        },
      ],
      reason,
    )
  const text = (label: string, value: string, onInput: (text: string) => void, isNeeded = true): VNode => (
    <Field label={label}>
      {field => (
        <input
          id={field}
          type="text"
          required={isNeeded}
          maxLength={200}
          autocomplete="off"
          value={value}
          onInput={event => onInput((event.currentTarget as HTMLInputElement).value)}
        />
      )}
    </Field>
  )
  return (
    <Dialog
      title={say('edit_add_exchange')}
      doing={say(me.changes === 'two-person' ? 'edit_propose' : 'edit_save')}
      onDo={save}
      onClose={onClose}
    >
      {text(say('edit_name'), name, setName)}
      {text(say('id'), id, setId)}
      <Field label={say('category')}>
        {field => (
          <select id={field} value={category} onChange={event => setCategory((event.currentTarget as HTMLSelectElement).value)}>
            {CATEGORIES.map(one => (
              <option value={one} key={one}>
                {say(`category_${one}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <NamesField label={say('domains')} value={domains} onInput={setDomains} />
      {text(say('order'), order, setOrder, false)}
      <Reason value={reason} onInput={setReason} />
    </Dialog>
  )
}
