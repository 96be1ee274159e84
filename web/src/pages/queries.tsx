// Query records: the last queries, where the operator turned that on, and never without a token.
//
// Knows: `GET query-records`.  Does not know: who keeps them.
import type { VNode } from 'preact'
import { type Items, useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { QueryRecord } from '../lib/types'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Name, Stranger, useReader, useTexts } from '../parts/text'

const LIMIT = 200

export function Queries(): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const records = useResource<Items<QueryRecord>>('query-records', { limit: LIMIT }, { every_s: 5 })
  return (
    <>
      <div class="head">
        <h1>{say('queries')}</h1>
      </div>
      <div class="card">
        <p class="intro">{say('queries_what')}</p>
        <Shown of={records}>
          {answer => (
            <Table
              caption={say('queries')}
              rows={answer.items.map((one, number) => ({ ...one, number }))}
              keyOf={one => one.number}
              empty={say('no_queries')}
              columns={[
                {
                  label: say('domain'),
                  cell: one =>
                    one.qname ? (
                      <a href={hrefOf(['explain'], { name: one.qname })}>
                        <Name text={one.qname} />
                      </a>
                    ) : (
                      <Stranger text={one.malformed ?? '–'} max={100} />
                    ),
                },
                { label: say('explain_type'), cell: one => <Stranger text={one.qtype} max={20} /> },
                { label: say('answer'), cell: one => <Answer record={one} /> },
                { label: say('source'), cell: one => (one.source ? texts.word(`source_${one.source}`, one.source) : '–') },
                { label: say('client'), cell: one => <Stranger text={one.client_name ?? one.client ?? '–'} max={60} /> },
                { label: say('when'), cell: one => <time dateTime={one.time}>{format.second(one.time)}</time> },
              ]}
            />
          )}
        </Shown>
      </div>
    </>
  )
}

function Answer({ record }: { record: QueryRecord }): VNode {
  const blockedBy = record.exchange ?? record.list
  const shadow = record.shadow_exchange ?? record.shadow_list
  return (
    <>
      <Badge tone={blockedBy ? 'bad' : shadow ? 'warn' : 'calm'}>{record.rcode ?? record.dropped ?? '–'}</Badge>
      {blockedBy || shadow ? (
        <span class="second">
          <Stranger text={blockedBy ?? shadow} max={80} />
        </span>
      ) : null}
    </>
  )
}
