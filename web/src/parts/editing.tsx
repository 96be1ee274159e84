// A dialog that edits the blocklist: first it shows what would change, then it is saved or proposed.
//
// Knows: `POST edits` and its `dry_run`, the fields that edits are made of.  Does not know: what is edited.
// Theory: nobody saves what they have not seen.  What is shown belongs to the fields as they stood; whoever types
// on sees it anew before it can be saved.  Where a safety rule objects, it can be shown and saved all the same (`force`).
import type { ComponentChildren, VNode } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, get, post } from '../lib/api'
import { type Day, wordsOf } from '../lib/edits'
import { who } from '../lib/session'
import { useStore } from '../lib/store'
import type { Edit, EditStanding, Made } from '../lib/types'
import { Reason, changed } from './actions'
import { Dialog, Field, useFailure } from './dialog'
import { Differences, Remarks } from './differences'
import { useForce } from './force'
import { Moment, Prose, Say, useTexts } from './text'

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

/** Sends edits.  Raises ApiError; where the text has changed meanwhile it says what did. */
async function sent(asked: Promise<EditStanding>, edits: Edit[], more: Record<string, unknown>): Promise<{ status: number; answer: Made }> {
  const standing = await asked
  if (!standing.writable) throw new ApiError(409, '', standing.why ?? '', standing.remedy ?? '')
  try {
    return await post<Made>('edits', { base: standing.base, edits, ...more })
  } catch (error) {
    if (error instanceof ApiError && error.more['changed']) {
      const words = wordsOf(error.more['changed'])
      throw new ApiError(error.status, error.title, `${error.detail}: ${words}`, error.remedy, error.more)
    }
    throw error
  }
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

interface EditDialogProps {
  title: string
  /** What the fields ask for, as they stand; none: nothing is changed. */
  edits: Edit[]
  isGrave?: boolean
  onClose: () => void
  children?: ComponentChildren
}

export function EditDialog({ title, edits, isGrave = false, onClose, children }: EditDialogProps): VNode {
  const say = useTexts()
  const { asked, standing, failure } = useStanding()
  const me = useStore(who)
  const [reason, setReason] = useState('')
  const [seen, setSeen] = useState<{ of: string; made: Made } | null>(null)
  const preview = useRef<HTMLElement>(null)
  const { isForced, heeding, choice } = useForce(JSON.stringify(edits))
  const force = isForced ? { force: true } : {}
  const now = JSON.stringify([edits, isForced])
  const isSeen = seen?.of === now
  useEffect(() => {
    // Read aloud from here on; the buttons come next.
    if (seen) preview.current?.focus()
  }, [seen])
  const act = async (): Promise<string | null> => {
    if (!edits.length) throw new ApiError(0, say('edit_nothing'), '', '')
    if (!isSeen) {
      const { answer } = await heeding(() => sent(asked, edits, { dry_run: true, ...force }))
      setSeen({ of: now, made: answer })
      return null
    }
    const { status, answer } = await heeding(() => sent(asked, edits, { reason: reason || null, ...force }))
    changed()
    const told = say(status === 202 || answer.state === 'proposed' ? 'proposed' : 'edit_done')
    return [told, ...(answer.warnings ?? [])].join(' ')
  }
  const saving = me.changes === 'two-person' ? 'edit_propose' : 'edit_save'
  return (
    <Dialog
      title={title}
      doing={say(isSeen ? saving : 'edit_preview')}
      isGrave={(isGrave || isForced) && isSeen}
      onDo={act}
      onClose={onClose}
    >
      <Unwritable standing={standing} failure={failure} />
      {children}
      <Reason value={reason} onInput={setReason} />
      {choice}
      {isSeen ? (
        <section class="preview" tabIndex={-1} ref={preview} aria-labelledby="preview-title">
          <h3 id="preview-title">{say('edit_preview_what')}</h3>
          <p class="soft small">{say('edit_preview_not_yet')}</p>
          <Differences lines={(seen.made.words ?? '').split('\n')} />
          <Remarks remarks={seen.made.warnings} />
        </section>
      ) : null}
    </Dialog>
  )
}

// Fields.

interface TextFieldProps {
  label: string
  value: string
  onInput: (text: string) => void
  isNeeded?: boolean
  /** Ids and names of domains are written from left to right in every language. */
  isLtr?: boolean
  hint?: string
}

export function TextField({ label, value, onInput, isNeeded = false, isLtr = false, hint }: TextFieldProps): VNode {
  return (
    <Field label={label} {...(hint ? { hint } : {})}>
      {(id, describedBy) => (
        <input
          id={id}
          type="text"
          required={isNeeded}
          {...(isLtr ? ({ dir: 'ltr', autocapitalize: 'none', spellcheck: false } as const) : ({ dir: 'auto' } as const))}
          maxLength={500}
          autocomplete="off"
          aria-describedby={describedBy}
          value={value}
          onInput={event => onInput((event.currentTarget as HTMLInputElement).value)}
        />
      )}
    </Field>
  )
}

interface ChoiceProps {
  label: string
  value: string
  choices: readonly (readonly [string, string])[]
  onChoose: (value: string) => void
}

/** One of several; each choice is its value and what it is called. */
export function ChoiceField({ label, value, choices, onChoose }: ChoiceProps): VNode {
  return (
    <Field label={label}>
      {id => (
        <select id={id} value={value} onChange={event => onChoose((event.currentTarget as HTMLSelectElement).value)}>
          {choices.map(([one, called]) => (
            <option value={one} key={one}>
              {called}
            </option>
          ))}
        </select>
      )}
    </Field>
  )
}

interface DayFieldProps {
  label: string
  day: Day
  onInput: (day: Day) => void
  /** What stands there now. */
  before?: string | null
}

/** The blocklist's own zone says when a day begins, so what stands there is told, and not put into the field. */
export function DayField({ label, day, onInput, before = null }: DayFieldProps): VNode {
  const say = useTexts()
  const isOut = day === null
  return (
    <div class="field day">
      <Field label={label}>
        {id => (
          <>
            <input
              id={id}
              type="date"
              disabled={isOut}
              aria-describedby={before ? `${id}-now` : undefined}
              value={day ?? ''}
              onInput={event => onInput((event.currentTarget as HTMLInputElement).value)}
            />
            {before ? (
              <p class="hint" id={`${id}-now`}>
                <Say say="edit_now" value={<Moment at={before} day={!before.includes('T')} />} />
              </p>
            ) : null}
          </>
        )}
      </Field>
      {before ? (
        <label class="check">
          <input
            type="checkbox"
            checked={isOut}
            onChange={event => onInput((event.currentTarget as HTMLInputElement).checked ? null : '')}
          />
          <span>
            {say('edit_take_out')}
            <span class="unseen">: {label}</span>
          </span>
        </label>
      ) : null}
    </div>
  )
}
