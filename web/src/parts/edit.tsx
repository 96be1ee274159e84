// Edits of the blocklist: what is changed, why, and what came of it.
//
// Knows: `POST edits`.  Does not know: files.
import type { VNode } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiError, get, post } from '../lib/api'
import { who } from '../lib/session'
import { useStore } from '../lib/store'
import type { Edit, EditStanding, ExchangeWhole, Made } from '../lib/types'
import { Reason, changed, useMay } from './actions'
import { Dialog, Field, useFailure } from './dialog'
import { Prose, useTexts } from './text'

const MODES = ['enforce', 'shadow', 'disabled'] as const
const CATEGORIES = ['exchange', 'ico', 'otc', 'payment', 'media', 'other'] as const

/** Names, one in a line or separated by commas. */
export function namesOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter(Boolean))]
}

/** The blocklist as it stands when the dialog is opened: an edit is about that text, and none that came later. */
function useStanding(): { asked: Promise<EditStanding>; standing: EditStanding | null; failure: unknown } {
  const [asked] = useState(() => get<EditStanding>('edits'))
  const [standing, setStanding] = useState<EditStanding | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  useEffect(() => {
    asked.then(setStanding, setFailure)
  }, [asked])
  return { asked, standing, failure }
}

/** Sends edits; what to tell.  Raises ApiError; where the text has changed meanwhile it says what did. */
function useSend(asked: Promise<EditStanding>): (edits: Edit[], reason: string) => Promise<string> {
  const say = useTexts()
  return async (edits, reason) => {
    if (!edits.length) throw new ApiError(0, say('edit_nothing'), '', '')
    const standing = await asked
    if (!standing.writable) throw new ApiError(409, '', standing.why ?? '', standing.remedy ?? '')
    try {
      const { status, answer } = await post<Made>('edits', { base: standing.base, edits, reason: reason || null })
      changed()
      const told = say(status === 202 || answer.state === 'proposed' ? 'proposed' : 'edit_done')
      return [told, ...(answer.warnings ?? [])].join(' ')
    } catch (error) {
      if (error instanceof ApiError && error.more['changed']) {
        const words = wordsOf(error.more['changed'])
        throw new ApiError(error.status, error.title, `${error.detail}: ${words}`, error.remedy, error.more)
      }
      throw error
    }
  }
}

/** Lines as one. */
function wordsOf(changed: unknown): string {
  return String(changed)
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
    .join('; ')
}

/** Why nothing can be saved, before anybody has typed. */
function Unwritable({ standing, failure }: { standing: EditStanding | null; failure: unknown }): VNode | null {
  const failureOf = useFailure()
  const told = failure ? failureOf(failure) : standing && !standing.writable ? { text: standing.why ?? '', remedy: standing.remedy ?? '' } : null
  if (!told) return null
  return (
    <div class="notice warn">
      <Prose text={told.text} />
      {told.remedy ? (
        <p class="remedy">
          <span>
            <Prose text={told.remedy} />
          </span>
        </p>
      ) : null}
    </div>
  )
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
  const { asked, standing, failure } = useStanding()
  const send = useSend(asked)
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
      <Unwritable standing={standing} failure={failure} />
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
  const { asked, standing, failure } = useStanding()
  const send = useSend(asked)
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
      <Unwritable standing={standing} failure={failure} />
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
