// Orders: what each asks for, by when, and what of it is in force.
//
// Knows: `GET orders`.  Does not know: how a state is found.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Items, useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { NotEnforced, Order, OrderWhole } from '../lib/types'
import { AddOrderButton, EditOrderButton } from '../parts/edit_order'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Card, Facts, Moment, Name, OutLink, Stranger, type Tone, useNow, useReader, useTexts } from '../parts/text'
import { ReportLink } from './report'

export const STATE_TONES: Record<string, Tone> = {
  in_force: 'good',
  partly: 'warn',
  excepted: 'warn',
  pending: 'warn',
  shadow: 'warn',
  ended: 'calm',
  disabled: 'calm',
}

/** A state of an order, exchange, list or name, in the reader's language. */
export function StateBadge({ state }: { state: string }): VNode {
  const { texts } = useReader()
  return <Badge tone={STATE_TONES[state] ?? 'calm'}>{texts.word(`state_${state}`, state)}</Badge>
}

/** Whether its deadline has passed and it does not do what it asks for. */
export function isOverdue(order: Order, nowMs: number): boolean {
  if (!order.due || order.state === 'ended' || new Date(order.due).getTime() > nowMs) return false
  return !order.blocks_now || order.asks.not_enforced > 0
}

/** Those that are late first, then those with something missing, then by deadline, then the newest. */
export function byUrgency(orders: readonly Order[], nowMs: number): Order[] {
  const rank = (order: Order): number =>
    isOverdue(order, nowMs) ? 0 : order.due && !order.blocks_now ? 1 : order.asks.not_enforced ? 2 : order.state === 'ended' ? 4 : 3
  return [...orders].sort(
    (one, other) =>
      rank(one) - rank(other) ||
      (one.due ?? '~').localeCompare(other.due ?? '~') ||
      (other.date ?? '').localeCompare(one.date ?? '') ||
      one.id.localeCompare(other.id),
  )
}

export function OrdersTable({ orders, shown = 50 }: { orders: readonly Order[]; shown?: number }): VNode {
  const say = useTexts()
  const nowMs = useNow()
  return (
    <Table
      caption={say('orders')}
      rows={byUrgency(orders, nowMs)}
      keyOf={order => order.id}
      rowsAtFirst={shown}
      empty={say('no_orders')}
      columns={[
        {
          label: say('order'),
          cell: order => (
            <>
              <a href={hrefOf(['orders', order.id])}>
                <Stranger text={order.title || order.id} />
              </a>
              <span class="second">
                <Stranger text={[order.authority, order.reference].filter(Boolean).join(', ')} />
              </span>
            </>
          ),
        },
        {
          label: say('state'),
          cell: order => (
            <>
              <StateBadge state={order.state} />
              {order.in_force_since ? (
                <span class="second">
                  {say('since')} <Moment at={order.in_force_since} day />
                </span>
              ) : null}
            </>
          ),
        },
        { label: say('due'), cell: order => <Due order={order} /> },
        { label: say('in_force_of'), cell: order => <InForce order={order} /> },
      ]}
    />
  )
}

function Due({ order }: { order: Order }): VNode {
  const say = useTexts()
  const { format } = useReader()
  const nowMs = useNow()
  if (!order.due) return <span class="soft">{say('no_deadline')}</span>
  if (order.ahead_s !== null) {
    const early = order.ahead_s >= 0
    return (
      <>
        <Badge tone={early ? 'good' : 'warn'}>
          {say(early ? 'in_time' : 'late_by', { duration: format.duration(Math.abs(order.ahead_s)) })}
        </Badge>
        <span class="second">
          <Moment at={order.due} />
        </span>
      </>
    )
  }
  return (
    <>
      {isOverdue(order, nowMs) ? <Badge tone="bad">{say('overdue')}</Badge> : <Moment at={order.due} ago />}
      <span class="second">
        <Moment at={order.due} />
      </span>
    </>
  )
}

/** How much of what it asks for is enforced; of an order that lists nothing, how much cites it. */
function InForce({ order }: { order: Order }): VNode {
  const say = useTexts()
  const { format } = useReader()
  const { total, enforced, pending } = order.asks
  if (!total) {
    const parts = [
      order.exchanges.length ? say('exchanges_count', { count: order.exchanges.length }) : '',
      order.lists.length ? say('lists_count', { count: order.lists.length }) : '',
    ].filter(Boolean)
    return <span>{parts.join(', ') || say('cited_by_nothing')}</span>
  }
  const share = enforced / total
  return (
    <>
      {say('of', { part: format.count(enforced), whole: format.count(total) })}
      {pending ? <span class="second">{say('pending_count', { count: pending })}</span> : null}
      <span class={`meter ${enforced < total ? 'short' : ''}`} aria-hidden="true">
        <span style={{ width: `${Math.round(share * 100)}%` }} />
      </span>
    </>
  )
}

export function Orders(): VNode {
  const say = useTexts()
  const orders = useResource<Items<Order>>('orders')
  return (
    <>
      <div class="head">
        <h1>{say('orders')}</h1>
        <AddOrderButton />
      </div>
      <div class="card">
        <Shown of={orders}>{answer => <OrdersTable orders={answer.items} />}</Shown>
      </div>
    </>
  )
}

export function OrderPage({ id }: { id: string }): VNode {
  const say = useTexts()
  const order = useResource<OrderWhole>(`orders/${encodeURIComponent(id)}`)
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf(['orders'])}>{say('orders')}</a>
      </p>
      <Shown of={order}>{answer => <Whole order={answer} />}</Shown>
    </>
  )
}

function Whole({ order }: { order: OrderWhole }): VNode {
  const say = useTexts()
  const { texts, format } = useReader()
  return (
    <>
      <div class="head">
        <h1>
          <Stranger text={order.title || order.id} max={300} />
        </h1>
        <div class="actions">
          <StateBadge state={order.state} />
          <EditOrderButton order={order} />
          <ReportLink wishes={{ order: order.id }} />
        </div>
      </div>
      <div class="stack">
        <Card title={say('facts')}>
          <Facts
            facts={[
              [say('id'), <Name text={order.id} />],
              [say('authority'), <Stranger text={order.authority} max={300} />],
              [say('reference'), order.reference ? <OutLink href={order.url}><Stranger text={order.reference} max={300} /></OutLink> : null],
              [say('date'), order.date ? format.day(order.date) : null],
              [say('imposed_by'), texts.word(`imposed_by_${order.imposed_by}`, order.imposed_by)],
              [say('received'), order.received ? <Moment at={order.received} /> : null],
              [say('due'), order.due ? <Due order={order} /> : null],
              [say('in_force_since'), order.in_force_since ? <Moment at={order.in_force_since} /> : null],
              [say('from'), order.from ? <Moment at={order.from} /> : null],
              [say('until'), order.until ? <Moment at={order.until} /> : null],
              [say('measure'), order.measure ? <Stranger text={order.measure} /> : null],
              [say('in_force_of'), <InForce order={order} />],
              [say('names_blocked'), format.count(order.names_blocked)],
              [say('hits_month'), order.hits ? format.count(order.hits.blocked) : null],
            ]}
          />
        </Card>
        {order.not_enforced.length ? (
          <Card title={say('not_enforced')}>
            <NotEnforcedTable names={order.not_enforced} />
          </Card>
        ) : null}
        {order.exchanges.length ? (
          <Card title={say('exchanges')}>
            <Citing ids={order.exchanges} />
          </Card>
        ) : null}
      </div>
    </>
  )
}

function NotEnforcedTable({ names }: { names: readonly NotEnforced[] }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  return (
    <Table
      caption={say('not_enforced')}
      rows={names.map((one, number) => ({ ...one, number }))}
      keyOf={one => one.number}
      columns={[
        { label: say('asked_for'), cell: one => <Name text={one.ask} /> },
        {
          label: say('why'),
          cell: one => (
            <>
              {texts.word(`reason_${one.reason}`, one.reason)}
              <span class="second">
                <Stranger text={one.why} max={400} />
              </span>
            </>
          ),
        },
        {
          label: say('blocked_by'),
          cell: one =>
            !one.exchange ? (
              '–'
            ) : one.exchange.startsWith('list ') ? (
              <Stranger text={one.exchange} />
            ) : (
              <a href={hrefOf(['exchanges', one.exchange])}>
                <Stranger text={one.exchange} />
              </a>
            ),
        },
      ]}
    />
  )
}

function Citing({ ids }: { ids: readonly string[] }): VNode {
  const say = useTexts()
  const [shown, setShown] = useState(60)
  return (
    <>
      <ul class="chips">
        {ids.slice(0, shown).map(id => (
          <li key={id}>
            <a href={hrefOf(['exchanges', id])}>
              <Stranger text={id} max={80} />
            </a>
          </li>
        ))}
      </ul>
      {ids.length > shown ? (
        <p class="more">
          <button type="button" onClick={() => setShown(ids.length)}>
            {say('show_more', { count: ids.length - shown })}
          </button>
        </p>
      ) : null}
    </>
  )
}
