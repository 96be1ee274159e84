// Suggestions: names that were asked and look like a listed exchange; a person decides.
//
// Knows: `GET suggestions`.  Does not know: how a likeness is found.
import type { VNode } from 'preact'
import { useResource, type Items } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { Suggestion } from '../lib/types'
import { DoButton, useMay } from '../parts/actions'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Name, Stranger, useReader, useTexts } from '../parts/text'

export function Suggestions(): VNode {
  const say = useTexts()
  const { format } = useReader()
  const mayEdit = useMay('edit')
  const suggestions = useResource<Items<Suggestion>>('suggestions')
  return (
    <>
      <div class="head">
        <h1>{say('suggestions')}</h1>
      </div>
      <div class="card">
        <p class="soft">{say('suggestions_what')}</p>
        <Shown of={suggestions}>
          {answer => (
            <Table
              caption={say('suggestions')}
              rows={answer.items}
              keyOf={one => one.name}
              empty={say('no_suggestions')}
              columns={[
                {
                  label: say('domain'),
                  cell: one => (
                    <>
                      <Name text={one.name} />
                      {one.unicode && one.unicode !== one.name ? (
                        <span class="second">
                          <Stranger text={one.unicode} />
                        </span>
                      ) : null}
                    </>
                  ),
                },
                {
                  label: say('looks_like'),
                  cell: one => (
                    <a href={hrefOf(['exchanges', one.exchange])}>
                      <Stranger text={one.exchange_name} />
                    </a>
                  ),
                },
                { label: say('score'), isNumber: true, by: one => one.score, cell: one => format.percent(one.score) },
                { label: say('why'), cell: one => <Stranger text={one.reasons.join('; ')} max={300} /> },
                { label: say('queries_since'), isNumber: true, by: one => one.queries, cell: one => format.count(one.queries) },
                ...(mayEdit
                  ? [
                      {
                        label: say('do'),
                        cell: (one: Suggestion) => (
                          <span class="actions">
                            <DoButton
                              label={say('accept')}
                              path={`suggestions/${encodeURIComponent(one.name)}/accept`}
                              done={status => say(status === 202 ? 'proposed' : 'accepted')}
                            />
                            <DoButton label={say('dismiss')} path={`suggestions/${encodeURIComponent(one.name)}/dismiss`} done={() => say('dismissed')} />
                          </span>
                        ),
                      },
                    ]
                  : []),
              ]}
            />
          )}
        </Shown>
      </div>
    </>
  )
}
