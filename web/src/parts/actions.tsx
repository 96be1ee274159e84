// What changes the server's state: signing in, pausing, reloading, flushing, and the like.
//
// Knows: which role each needs, what is asked before.  Does not know: the pages they stand on.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { isToken, keepToken, post } from '../lib/api'
import { secondsOf } from '../lib/format'
import { policyTurn } from '../lib/live'
import { may, ownerOf, who } from '../lib/session'
import { useStore } from '../lib/store'
import type { Made, Role } from '../lib/types'
import { Dialog, Field, tell, useFailure } from './dialog'
import { useForce } from './force'
import { useReader, useTexts } from './text'

/** Whether the reader may do what needs this role. */
export function useMay(least: Role): boolean {
  return may(useStore(who), least)
}

/** What was shown is no longer true. */
export function changed(): void {
  policyTurn.set(policyTurn.value + 1)
}

export function SignIn({ onClose }: { onClose: () => void }): VNode {
  const say = useTexts()
  const [text, setText] = useState('')
  const enter = async (): Promise<string> => {
    const wanted = text.trim()
    if (!isToken(wanted)) throw new Error(say('sign_in_no_token'))
    // By one request, before anything else goes by it: a wrong one is one guess, and this dialog stays to say so.
    const me = await ownerOf(wanted)
    keepToken(wanted)
    who.set(me)
    return say('signed_in_as', { name: me.name ?? '–', role: say(`role_${me.role}`) })
  }
  return (
    <Dialog title={say('sign_in')} doing={say('sign_in')} onDo={enter} onClose={onClose}>
      <Field label={say('token')} hint={say('token_hint')}>
        {(id, hint) => (
          <input
            id={id}
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            aria-describedby={hint}
            value={text}
            onInput={event => setText((event.currentTarget as HTMLInputElement).value)}
          />
        )}
      </Field>
    </Dialog>
  )
}

const PAUSES = ['5m', '30m', '2h', '8h', '24h'] as const

export function PauseDialog({ onClose }: { onClose: () => void }): VNode {
  const say = useTexts()
  const { format } = useReader()
  const [length, setLength] = useState<string>(PAUSES[0])
  const [reason, setReason] = useState('')
  const [isWithOrders, setIsWithOrders] = useState(false)
  const isProposed = useStore(who).changes === 'two-person'
  const pause = async (): Promise<string> => {
    const { answer } = await post<Made>('pause', { for_s: secondsOf(length), reason, including_orders: isWithOrders })
    changed()
    if (answer.proposal) return say('proposed')
    return say('paused_done', { duration: format.duration(secondsOf(length) ?? 0) })
  }
  return (
    <Dialog title={say('pause')} doing={say(isProposed ? 'edit_propose' : 'pause')} isGrave onDo={pause} onClose={onClose}>
      <p>{say('pause_what')}</p>
      {isProposed ? <p class="notice">{say('pause_two_person')}</p> : null}
      <Field label={say('pause_for')}>
        {id => (
          <select id={id} value={length} onChange={event => setLength((event.currentTarget as HTMLSelectElement).value)}>
            {PAUSES.map(one => (
              <option value={one}>{format.duration(secondsOf(one) ?? 0)}</option>
            ))}
          </select>
        )}
      </Field>
      <Reason value={reason} onInput={setReason} />
      <label class="check field">
        <input
          type="checkbox"
          checked={isWithOrders}
          onChange={event => setIsWithOrders((event.currentTarget as HTMLInputElement).checked)}
        />
        <span>{say('pause_with_orders')}</span>
      </label>
      {isWithOrders ? <p class="notice warn">{say('pause_with_orders_warning')}</p> : null}
    </Dialog>
  )
}

/** Why something is changed: it goes into the history. */
export function Reason({ value, onInput }: { value: string; onInput: (text: string) => void }): VNode {
  const say = useTexts()
  return (
    <Field label={say('reason')} hint={say('reason_hint')}>
      {(id, hint) => (
        <input
          id={id}
          type="text"
          required
          maxLength={500}
          autocomplete="off"
          aria-describedby={hint}
          value={value}
          onInput={event => onInput((event.currentTarget as HTMLInputElement).value)}
        />
      )}
    </Field>
  )
}

export function FlushDialog({ name: first = '', onClose }: { name?: string; onClose: () => void }): VNode {
  const say = useTexts()
  const [name, setName] = useState(first)
  const [isSubtree, setIsSubtree] = useState(false)
  const flush = async (): Promise<string> => {
    await post('cache/flush', { name: name.trim(), subtree: isSubtree })
    return say('flushed')
  }
  return (
    <Dialog title={say('flush')} doing={say('flush')} onDo={flush} onClose={onClose}>
      <p>{say('flush_what')}</p>
      <Field label={say('domain')}>
        {id => (
          <input
            id={id}
            type="text"
            required
            dir="ltr"
            maxLength={2000}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            value={name}
            onInput={event => setName((event.currentTarget as HTMLInputElement).value)}
          />
        )}
      </Field>
      <label class="check field">
        <input
          type="checkbox"
          checked={isSubtree}
          onChange={event => setIsSubtree((event.currentTarget as HTMLInputElement).checked)}
        />
        <span>{say('flush_subtree')}</span>
      </label>
    </Dialog>
  )
}

/** A dialog that asks for nothing but a reason, or for nothing at all. */
export function AskDialog({ title, what, doing, path, done, hasReason = false, isGrave = false, onClose }: AskProps): VNode {
  const [reason, setReason] = useState('')
  const { isForced, heeding, choice } = useForce(path)
  const carryOut = async (): Promise<string> => {
    const force = isForced ? { force: true } : {}
    const { status } = await heeding(() => post(path, hasReason ? { reason: reason || null, ...force } : {}))
    changed()
    return done(status)
  }
  return (
    <Dialog title={title} doing={doing} isGrave={isGrave} onDo={carryOut} onClose={onClose}>
      <p>{what}</p>
      {hasReason ? <Reason value={reason} onInput={setReason} /> : null}
      {choice}
    </Dialog>
  )
}

interface AskProps {
  title: string
  what: string
  doing: string
  path: string
  done: (status: number) => string
  hasReason?: boolean
  isGrave?: boolean
  onClose: () => void
}

/** A button that does something at once and tells what came of it. */
export function DoButton({ label, path, done, body, kind }: DoProps): VNode {
  const [isBusy, setIsBusy] = useState(false)
  const failureOf = useFailure()
  const press = async (): Promise<void> => {
    setIsBusy(true)
    try {
      const { status } = await post(path, body ?? {})
      changed()
      tell({ tone: 'good', text: done(status) })
    } catch (error) {
      tell({ tone: 'bad', ...failureOf(error) })
    } finally {
      setIsBusy(false)
    }
  }
  return (
    <button type="button" class={kind} disabled={isBusy} aria-busy={isBusy} onClick={() => void press()}>
      {label}
    </button>
  )
}

interface DoProps {
  label: string
  path: string
  done: (status: number) => string
  body?: unknown
  kind?: string
}
