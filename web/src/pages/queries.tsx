// Query records: the last queries, where the operator turned that on, and never without a token.
//
// Knows: `GET query-records`.  Does not know: who keeps them.
import type { VNode } from 'preact'
import { type Items, useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { QueryRecord } from '../lib/types'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Moment, Name, Stranger, useReader, useTexts } from '../parts/text'

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
        <p class="soft">{say('queries_what')}</p>
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
                  cell: one => (
                    <a href={hrefOf(['explain'], { name: one.name })}>
                      <Name text={one.name} />
                    </a>
                  ),
                },
                { label: say('explain_type'), cell: one => one.type },
                { label: say('answer'), cell: one => <Stranger text={one.rcode} /> },
                { label: say('source'), cell: one => texts.word(`source_${one.source}`, one.source) },
                { label: say('client'), cell: one => (one.client ? <Stranger text={one.client} max={60} /> : '–') },
                { label: say('latency'), isNumber: true, cell: one => (one.seconds === null ? '–' : format.latency(one.seconds)) },
                { label: say('when'), cell: one => <Moment at={one.at} /> },
              ]}
            />
          )}
        </Shown>
      </div>
    </>
  )
}
