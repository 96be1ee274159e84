// The explain box: what would be decided about a name, and why, while it is typed.
//
// Knows: `GET explain`.  Does not know: how anything is decided.
// Theory: what is typed is asked for after a breath; an older question is called off, so the answer shown is always that of
// the name in the box.  Nothing is asked of upstreams: half-typed names are nobody's business.
import type { VNode } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiError, get, token } from '../lib/api'
import { policyTurn } from '../lib/live'
import { hrefOf } from '../lib/route'
import { useStore } from '../lib/store'
import type { CitedOrder, Explanation, TracedRule } from '../lib/types'
import { AddExceptionButton } from './edit_exception'
import { FlushDialog, useMay } from './actions'
import { useFailure } from './dialog'
import { Table } from './table'
import { Badge, Facts, Moment, Name, OutLink, Say, Stranger, useReader, useTexts } from './text'

const BREATH_MS = 150
const BUSY_MS = 700
const TYPES = ['A', 'AAAA', 'HTTPS', 'MX', 'TXT', 'CNAME', 'NS', 'SVCB', 'PTR', 'ANY'] as const
const NAME_CHARACTERS_MAX = 1100

export function ExplainBox({ first = '', onAsked, isWhole = false }: ExplainProps): VNode {
  const say = useTexts()
  const failureOf = useFailure()
  const turn = useStore(policyTurn)
  const secret = useStore(token)
  const [name, setName] = useState(first)
  const [type, setType] = useState<string>('A')
  const [client, setClient] = useState('')
  const [found, setFound] = useState<Explanation | null>(null)
  const [failure, setFailure] = useState('')
  const [isAsking, setIsAsking] = useState(false)
  const wanted = name.trim()
  useEffect(() => setName(first), [first])
  useEffect(() => {
    if (!wanted) {
      setFound(null)
      setFailure('')
      setIsAsking(false)
      return undefined
    }
    setIsAsking(true)
    const stop = new AbortController()
    let timer = setTimeout(ask, BREATH_MS)
    function ask(): void {
      get<Explanation>('explain', { name: wanted, type, client: client.trim(), ask: 0 }, stop.signal).then(
        answer => {
          setFound(answer)
          setFailure('')
          setIsAsking(false)
          onAsked?.(wanted)
        },
        (error: unknown) => {
          if (stop.signal.aborted) return
          // Others ask, too: a few a second are answered.
          if (error instanceof ApiError && error.status === 429) {
            timer = setTimeout(ask, BUSY_MS)
            return
          }
          setFound(null)
          setIsAsking(false)
          setFailure(error instanceof ApiError && error.needsToken ? say('needs_token') : failureOf(error).text)
        },
      )
    }
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [wanted, type, client, turn, secret])
  return (
    <div>
      <form class={`explain-ask ${isWhole ? 'whole' : ''}`} role="search" onSubmit={event => event.preventDefault()}>
        <input
          type="search"
          dir="ltr"
          aria-label={say('explain_name')}
          placeholder="www.example.com"
          maxLength={NAME_CHARACTERS_MAX}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          value={name}
          onInput={event => setName((event.currentTarget as HTMLInputElement).value)}
        />
        <select
          aria-label={say('explain_type')}
          value={type}
          onChange={event => setType((event.currentTarget as HTMLSelectElement).value)}
        >
          {TYPES.map(one => (
            <option>{one}</option>
          ))}
        </select>
        {isWhole ? (
          <input
            type="text"
            dir="ltr"
            aria-label={say('explain_client')}
            placeholder={say('explain_client')}
            maxLength={60}
            autocomplete="off"
            value={client}
            onInput={event => setClient((event.currentTarget as HTMLInputElement).value)}
          />
        ) : null}
      </form>
      <div aria-live="polite" aria-busy={isAsking}>
        {failure ? (
          <p class="verdict none">
            <Stranger text={failure} max={600} />
          </p>
        ) : found ? (
          <Verdict found={found} />
        ) : null}
      </div>
      {failure ? null : found ? <Details found={found} isWhole={isWhole} /> : <p class="empty">{say('explain_hint')}</p>}
    </div>
  )
}

interface ExplainProps {
  first?: string
  onAsked?: (name: string) => void
  /** With the client's address, the whole trace and what the client sees. */
  isWhole?: boolean
}

/** What is read aloud while one types; the rest is there to be gone through. */
function Verdict({ found }: { found: Explanation }): VNode {
  const say = useTexts()
  const { decision } = found
  const isBlocked = decision.blocked
  const isAllowed = !isBlocked && decision.rule !== null
  const source =
    decision.kind === 'exchange' && decision.label && !decision.confidential ? (
      <a href={hrefOf(['exchanges', decision.label])}>
        <Stranger text={decision.name ?? decision.label} />
      </a>
    ) : (
      <Stranger text={decision.name ?? decision.label ?? ''} />
    )
  return (
    <div class={`verdict ${isBlocked ? 'blocked' : ''}`}>
      <strong>
        <span class="word">{say(isBlocked ? 'is_blocked' : isAllowed ? 'is_excepted' : 'is_open')}</span> <Name text={found.name} />
        {found.unicode && found.unicode !== found.name ? (
          <>
            {' '}
            (<Stranger text={found.unicode} />)
          </>
        ) : null}
      </strong>
      {decision.rule ? (
        <span>
          <Say say={decision.kind === 'exchange' ? 'because_exchange' : decision.kind === 'list' ? 'because_list' : 'because_rule'} source={source} rule={<Name text={decision.rule} />} />
        </span>
      ) : (
        <span>{say('because_nothing')}</span>
      )}
      {decision.shadow ? <span>{say('shadow_note', { rule: decision.shadow })}</span> : null}
      {found.client.allowed ? null : <span>{say('client_not_allowed')}</span>}
    </div>
  )
}

function Details({ found, isWhole }: { found: Explanation; isWhole: boolean }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const mayFlush = useMay('edit')
  const [isFlushing, setIsFlushing] = useState(false)
  const { decision, client_sees: seen } = found
  const ede = seen.reply?.ede.map(one => (one.text ? `${one.code}: ${one.text}` : String(one.code))).join('; ')
  return (
    <>
      <Facts
        facts={[
          [say('order'), Object.keys(decision.orders).length ? <Orders orders={decision.orders} /> : null],
          [say('action'), decision.action && decision.blocked ? texts.word(`action_${decision.action}`, decision.action) : null],
          [say('answer'), seen.reply ? `${seen.reply.rcode}${seen.reply.answers.length ? `: ${seen.reply.answers.map(one => one.rdata).join(', ')}` : ''}` : null],
          [say('explained_to_client'), ede ? <Stranger text={ede} max={400} /> : null],
          [say('from'), decision.from ? <Moment at={decision.from} /> : null],
          [say('until'), decision.until ? <Moment at={decision.until} /> : null],
          [say('reason'), decision.reason ? <Stranger text={decision.reason} max={400} /> : null],
          [say('ticket'), decision.ticket ? <Stranger text={decision.ticket} /> : null],
          [say('written_at'), decision.file ? <Name text={`${decision.file}:${decision.line ?? ''}`} /> : null],
        ]}
      />
      {isWhole ? <Whole found={found} /> : null}
      <p class="more actions">
        {isWhole ? null : <a href={hrefOf(['explain'], { name: found.asked })}>{say('explain_whole')}</a>}
        {mayFlush ? (
          <button type="button" onClick={() => setIsFlushing(true)}>
            {say('flush')}
          </button>
        ) : null}
        {decision.blocked ? <AddExceptionButton name={found.name} /> : null}
      </p>
      {isFlushing ? <FlushDialog name={found.name} onClose={() => setIsFlushing(false)} /> : null}
    </>
  )
}

function Orders({ orders }: { orders: Record<string, CitedOrder> }): VNode {
  const say = useTexts()
  const { format } = useReader()
  return (
    <ul class="changes">
      {Object.values(orders).map(order => (
        <li key={order.id}>
          <a href={hrefOf(['orders', order.id])}>
            <Stranger text={order.title || order.id} />
          </a>
          <span class="second">
            <OutLink href={order.url}>
              <Stranger text={[order.authority, order.reference].filter(Boolean).join(', ')} />
            </OutLink>
            {order.date ? `, ${format.day(order.date)}` : ''}
            {order.in_force ? '' : ` (${say('not_in_force')})`}
          </span>
        </li>
      ))}
    </ul>
  )
}

function Whole({ found }: { found: Explanation }): VNode {
  const say = useTexts()
  return (
    <div class="stack more">
      <h2>{say('trace')}</h2>
      <Table<TracedRule & { number: number }>
        caption={say('trace')}
        rows={found.trace.map((rule, number) => ({ ...rule, number }))}
        keyOf={rule => rule.number}
        empty={say('trace_empty')}
        columns={[
          { label: say('rule'), cell: rule => <Name text={rule.rule} /> },
          { label: say('source'), cell: rule => <Stranger text={rule.name ?? rule.label ?? rule.tier} /> },
          {
            label: say('effect'),
            cell: rule => (
              <>
                <Badge tone={rule.fate === 'decides' ? (rule.effect === 'block' ? 'bad' : 'good') : 'calm'}>
                  {rule.fate}: {rule.effect}
                </Badge>
                <span class="second">
                  <Stranger text={rule.why} />
                </span>
              </>
            ),
          },
          { label: say('written_at'), cell: rule => <Name text={rule.file ? `${rule.file}:${rule.line ?? ''}` : ''} /> },
        ]}
      />
      {found.records.length ? (
        <Table
          caption={say('register_records')}
          rows={found.records}
          keyOf={one => `${one.list} ${one.id} ${one.line}`}
          columns={[
            { label: say('list'), cell: one => <Stranger text={one.list} /> },
            { label: say('record'), cell: one => <Stranger text={one.id} /> },
            { label: say('written'), cell: one => <Name text={one.written} /> },
            { label: say('reason'), cell: one => <Stranger text={one.reason} max={300} /> },
          ]}
        />
      ) : null}
    </div>
  )
}
