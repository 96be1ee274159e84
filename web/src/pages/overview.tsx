// The first page: four questions, in this order.
//
// Knows: which parts answer them.  Does not know: how.
import type { VNode } from 'preact'
import { problems as live } from '../lib/live'
import { type Items, SELDOM_S, useAll, useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import { useStore } from '../lib/store'
import type { Exchange, Generation, Order, Problem, Proposal } from '../lib/types'
import { ExplainBox } from '../parts/explain'
import { Charts, Tiles } from '../parts/happening'
import { Problems } from '../parts/problems'
import { Shown } from '../parts/shown'
import { useMay } from '../parts/actions'
import { Card, useReader, useTexts } from '../parts/text'
import { ExchangesTable, hitsOf } from './exchanges'
import { HistoryTable, ProposalsTable, waiting } from './changes'
import { OrdersTable } from './orders'
import { Doing } from './service'

const ORDERS_SHOWN = 6
const EXCHANGES_SHOWN = 8
const CHANGES_SHOWN = 5

export function Overview(): VNode {
  const say = useTexts()
  return (
    <>
      <div class="head">
        <h1>{say('overview')}</h1>
        <Doing />
      </div>
      <Question text={say('question_wrong')} />
      <Wrong />
      <Question text={say('question_happening')} />
      <div class="stack">
        <Tiles />
        <Charts />
      </div>
      <Question text={say('question_blocked')} />
      <Blocked />
      <Question text={say('question_changed')} />
      <Changed />
    </>
  )
}

function Question({ text }: { text: string }): VNode {
  return (
    <div class="question">
      <h2>{text}</h2>
    </div>
  )
}

function Wrong(): VNode {
  const told = useStore(live)
  const asked = useResource<Items<Problem>>('problems', {}, { every_s: 30 })
  return <Shown of={asked}>{answer => <Problems problems={told ?? answer.items} />}</Shown>
}

function Blocked(): VNode {
  const say = useTexts()
  const orders = useResource<Items<Order>>('orders', {}, { every_s: SELDOM_S })
  const exchanges = useAll<Exchange>('exchanges', {}, { every_s: SELDOM_S })
  const busiest = [...(exchanges.value?.items ?? [])]
    .filter(one => hitsOf(one) > 0)
    .sort((one, other) => hitsOf(other) - hitsOf(one))
    .slice(0, EXCHANGES_SHOWN)
  return (
    <div class="stack">
      <Card title={say('explain')} level={3}>
        <ExplainBox />
      </Card>
      <Card title={say('orders')} level={3} actions={<a href={hrefOf(['orders'])}>{say('all_orders')}</a>}>
        <Shown of={orders}>{answer => <OrdersTable orders={answer.items} shown={ORDERS_SHOWN} />}</Shown>
      </Card>
      <Card title={say('most_asked')} level={3} actions={<a href={hrefOf(['exchanges'])}>{say('all_exchanges')}</a>}>
        <Shown of={exchanges}>
          {() => (busiest.length ? <ExchangesTable exchanges={busiest} isShort /> : <p class="empty">{say('no_hits')}</p>)}
        </Shown>
      </Card>
    </div>
  )
}

function Changed(): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const mayEdit = useMay('edit')
  const history = useResource<Items<Generation>>('history', { limit: CHANGES_SHOWN, language: texts.code }, { every_s: SELDOM_S })
  const proposals = useResource<Items<Proposal>>('proposals', {}, { isOff: !mayEdit, every_s: SELDOM_S })
  return (
    <div class="stack">
      {proposals.value && waiting(proposals.value.items).length ? (
        <Card title={say('proposals')} level={3}>
          <ProposalsTable proposals={proposals.value.items} />
        </Card>
      ) : null}
      <Card title={say('history')} level={3} actions={<a href={hrefOf(['changes'])}>{say('all_changes')}</a>}>
        <Shown of={history}>{answer => <HistoryTable generations={answer.items} isShort />}</Shown>
      </Card>
    </div>
  )
}
