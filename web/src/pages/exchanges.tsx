// Exchanges: how each stands, its domains, its hits over time, its dates, its last audit.
//
// Knows: `GET exchanges`, `GET hits`.  Does not know: how anything is counted.
import type { VNode } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { useAll, useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import { type Values, lineOf, withGaps } from '../lib/summary'
import type { Exchange, ExchangeName, ExchangeWhole, HitsOfMonth, HitsOverTime, Proved } from '../lib/types'
import { Chart, type Line } from '../parts/chart'
import { AddExchangeButton, EditExchangeButton } from '../parts/edit'
import { type Range, RangeChoice } from '../parts/happening'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Card, Facts, Moment, Name, Stranger, useNow, useReader, useTexts } from '../parts/text'
import { StateBadge } from './orders'

export function ExchangesTable({ exchanges, isShort = false }: { exchanges: readonly Exchange[]; isShort?: boolean }): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  return (
    <Table
      caption={say('exchanges')}
      rows={exchanges}
      keyOf={one => one.id}
      compare={(one, other) => format.compare(one, other)}
      columns={[
        {
          label: say('exchange'),
          by: one => one.name,
          cell: one => (
            <>
              <a href={hrefOf(['exchanges', one.id])}>
                <Stranger text={one.name} />
              </a>
              {one.category && !isShort ? <span class="second">{texts.word(`category_${one.category}`, one.category)}</span> : null}
            </>
          ),
        },
        { label: say('state'), by: one => one.state, cell: one => <StateBadge state={one.state} /> },
        {
          label: say('hits_month'),
          isNumber: true,
          by: one => hitsOf(one),
          cell: one => (
            <span class="with-spark">
              <Spark hits={one.hits} /> {one.hits ? format.count(hitsOf(one)) : '–'}
            </span>
          ),
        },
        { label: say('domains'), isNumber: true, by: one => one.name_count, cell: one => format.count(one.name_count) },
        { label: say('audit_last'), cell: one => <Audited audit={one.audit} /> },
        ...(isShort
          ? []
          : [
              {
                label: say('orders'),
                cell: (one: Exchange) =>
                  one.orders.length
                    ? one.orders.map((order, index) => (
                        <span key={order}>
                          {index ? ', ' : ''}
                          <a href={hrefOf(['orders', order])}>
                            <Stranger text={order} max={60} />
                          </a>
                        </span>
                      ))
                    : '–',
              },
              { label: say('until'), by: (one: Exchange) => one.until ?? '~', cell: (one: Exchange) => <Moment at={one.until} day /> },
            ]),
      ]}
    />
  )
}

/** What was blocked, or would have been. */
export function hitsOf(one: { hits: HitsOfMonth | null }): number {
  return one.hits ? one.hits.blocked + one.hits.shadow : 0
}

/** The last 30 days as a small line. */
function Spark({ hits }: { hits: HitsOfMonth | null }): VNode | null {
  const nowMs = useNow()
  if (!hits || !hitsOf({ hits })) return null
  return (
    <svg class="spark" viewBox="0 0 60 16" preserveAspectRatio="none" aria-hidden="true">
      <path d={lineOf(daysOf(hits, nowMs), 60, 16)} />
    </svg>
  )
}

const DAYS = 30

/** The hits of each of the last 30 days, those without any included. */
function daysOf(hits: HitsOfMonth, nowMs: number): number[] {
  const byDay = new Map(hits.days.map(one => [one.day, one.blocked + one.shadow]))
  return Array.from({ length: DAYS }, (_, index) => {
    const day = new Date(nowMs - (DAYS - 1 - index) * 86_400_000).toISOString().slice(0, 10)
    return byDay.get(day) ?? 0
  })
}

const FINDINGS = ['uncovered', 'overblocked', 'unknown'] as const

/** What the last audit proved of its names. */
export function Audited({ audit }: { audit: Proved | null }): VNode {
  const say = useTexts()
  const { format } = useReader()
  if (!audit) return <span class="soft">–</span>
  const found = FINDINGS.filter(finding => audit[finding])
  if (!found.length) return <Badge tone="good">{say('audit_clean')}</Badge>
  return (
    <Badge tone="bad">
      {found.map(finding => `${say(`audit_${finding}`)}: ${format.count(audit[finding] ?? 0)}`).join(', ')}
    </Badge>
  )
}

export function Exchanges({ find: first }: { find: string }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const all = useAll<Exchange>('exchanges')
  const [find, setFind] = useState(first)
  const [state, setState] = useState('')
  const [category, setCategory] = useState('')
  const rows = all.value?.items ?? []
  const shown = useMemo(() => {
    const wanted = find.trim().toLowerCase()
    return rows.filter(
      one =>
        (!state || one.state === state) &&
        (!category || one.category === category) &&
        (!wanted || one.id.includes(wanted) || one.name.toLowerCase().includes(wanted) || one.aliases.some(alias => alias.toLowerCase().includes(wanted)) || one.orders.some(order => order.includes(wanted))),
    )
  }, [rows, find, state, category])
  const choices = (values: (string | null)[]): string[] => [...new Set(values.filter(value => value !== null))].sort()
  return (
    <>
      <div class="head">
        <h1>{say('exchanges')}</h1>
        <AddExchangeButton />
      </div>
      <div class="card">
        <form
          class="filters"
          role="search"
          onSubmit={event => event.preventDefault()}
        >
          <input
            type="search"
            aria-label={say('find')}
            placeholder={say('find')}
            value={find}
            onInput={event => {
              const text = (event.currentTarget as HTMLInputElement).value
              setFind(text)
              history.replaceState(null, '', hrefOf(['exchanges'], { find: text }))
            }}
          />
          <select aria-label={say('state')} value={state} onChange={event => setState((event.currentTarget as HTMLSelectElement).value)}>
            <option value="">{say('every_state')}</option>
            {choices(rows.map(one => one.state)).map(one => (
              <option value={one} key={one}>
                {texts.word(`state_${one}`, one)}
              </option>
            ))}
          </select>
          <select
            aria-label={say('category')}
            value={category}
            onChange={event => setCategory((event.currentTarget as HTMLSelectElement).value)}
          >
            <option value="">{say('every_category')}</option>
            {choices(rows.map(one => one.category)).map(one => (
              <option value={one} key={one}>
                {texts.word(`category_${one}`, one)}
              </option>
            ))}
          </select>
        </form>
        <Shown of={all}>
          {() => (
            <>
              <p class="soft small" role="status">
                {say('exchanges_count', { count: shown.length })}
              </p>
              <ExchangesTable exchanges={shown} />
            </>
          )}
        </Shown>
      </div>
    </>
  )
}

export function ExchangePage({ id }: { id: string }): VNode {
  const say = useTexts()
  const exchange = useResource<ExchangeWhole>(`exchanges/${encodeURIComponent(id)}`)
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf(['exchanges'])}>{say('exchanges')}</a>
      </p>
      <Shown of={exchange}>{answer => <Whole exchange={answer} />}</Shown>
    </>
  )
}

function Whole({ exchange }: { exchange: ExchangeWhole }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  return (
    <>
      <div class="head">
        <h1>
          <Stranger text={exchange.name} max={200} />
        </h1>
        <div class="actions">
          <StateBadge state={exchange.state} />
          <EditExchangeButton exchange={exchange} />
        </div>
      </div>
      <div class="stack">
        <HitsCard exchange={exchange.id} />
        <Card title={say('facts')}>
          <Facts
            facts={[
              [say('id'), <Name text={exchange.id} />],
              [say('category'), exchange.category ? texts.word(`category_${exchange.category}`, exchange.category) : null],
              [say('aliases'), exchange.aliases.length ? <Stranger text={exchange.aliases.join(', ')} max={400} /> : null],
              [say('action'), <Action text={exchange.action} />],
              [say('in_policy_since'), exchange.in_policy_since ? <Moment at={exchange.in_policy_since} /> : null],
              [say('in_force_since'), exchange.in_force_since ? <Moment at={exchange.in_force_since} /> : null],
              [say('audit_last'), <Audited audit={exchange.audit} />],
              [say('orders'), exchange.orders.length ? <OrderLinks ids={exchange.orders} /> : null],
              [say('from'), exchange.from ? <Moment at={exchange.from} /> : null],
              [say('until'), exchange.until ? <Moment at={exchange.until} /> : null],
            ]}
          />
        </Card>
        <Card title={say('domains')}>
          <NamesTable names={exchange.names} />
        </Card>
      </div>
    </>
  )
}

/** `sinkhole 192.0.2.80`: the action in the reader's language, and its address. */
export function Action({ text }: { text: string }): VNode {
  const { texts } = useReader()
  const [action = '', ...more] = text.split(' ')
  return (
    <>
      {texts.word(`action_${action}`, action)}
      {more.length ? (
        <>
          {' '}
          <Name text={more.join(' ')} />
        </>
      ) : null}
    </>
  )
}

export function OrderLinks({ ids }: { ids: readonly string[] }): VNode {
  return (
    <ul class="chips">
      {ids.map(id => (
        <li key={id}>
          <a href={hrefOf(['orders', id])}>
            <Stranger text={id} max={80} />
          </a>
        </li>
      ))}
    </ul>
  )
}

function NamesTable({ names }: { names: readonly ExchangeName[] }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  return (
    <Table
      caption={say('domains')}
      rows={names}
      keyOf={one => `${one.form} ${one.name}`}
      columns={[
        {
          label: say('domain'),
          cell: one => (
            <>
              <a href={hrefOf(['explain'], { name: one.name.split('/')[0] ?? '' })}>
                <Name text={one.name} />
              </a>
              {one.unicode && one.unicode !== one.name ? (
                <span class="second">
                  <Stranger text={one.unicode} />
                </span>
              ) : null}
            </>
          ),
        },
        { label: say('form'), cell: one => texts.word(`form_${one.form}`, one.form) },
        { label: say('state'), cell: one => <StateBadge state={one.state} /> },
        { label: say('written_at'), cell: one => <Name text={`${one.file}:${one.line}`} /> },
      ]}
    />
  )
}

function HitsCard({ exchange }: { exchange: string }): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const [range, setRange] = useState<Range>('day')
  const hits = useResource<HitsOverTime>('hits', { exchange, range }, { every_s: 60 })
  const drawn = useMemo(() => {
    const steps = withGaps(hits.value?.items ?? [], hits.value?.step_s ?? 1)
    const values = (part: 'blocked' | 'shadow'): Values => steps.map(step => step.here?.[part] ?? null)
    const lines: Line[] = [{ label: say('hits_blocked'), values: values('blocked'), colour: '--line-2', isFilled: true }]
    if (steps.some(step => step.here?.shadow)) lines.push({ label: say('hits_shadow'), values: values('shadow'), colour: '--line-4', isFilled: true })
    return { times: steps.map(step => step.at), lines }
  }, [hits.value, texts])
  return (
    <Card title={say('hits')} actions={<RangeChoice range={range} onChoose={setRange} />}>
      <Shown of={hits}>
        {() => (
          <Chart
            title={say('hits_over_time')}
            times={drawn.times}
            lines={drawn.lines}
            range={range}
            write={value => format.count(value)}
            writeShort={value => format.compact(value)}
            least={4}
          />
        )}
      </Shown>
    </Card>
  )
}
