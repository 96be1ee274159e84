// Suggestions: names that were asked and look like a listed exchange; a person decides.
//
// Knows: `GET suggestions`.  Does not know: how a likeness is found.
import type { VNode } from 'preact'
import { useResource } from '../lib/resource'
import { hrefOf } from '../lib/route'
import type { Suggestion, SuggestionPage } from '../lib/types'
import { DoButton, useMay } from '../parts/actions'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Moment, Name, Stranger, useReader, useTexts } from '../parts/text'

export function Suggestions(): VNode {
  const say = useTexts()
  const { format } = useReader()
  const mayEdit = useMay('edit')
  const suggestions = useResource<SuggestionPage>('suggestions')
  return (
    <>
      <div class="head">
        <h1>{say('suggestions')}</h1>
      </div>
      <div class="card">
        <p class="intro">{say('suggestions_what')}</p>
        <Shown of={suggestions}>
          {answer => (
            <>
            {answer.enabled ? null : <p class="notice">{say('suggestions_off')}</p>}
            <Table
              caption={say('suggestions')}
              rows={answer.items.filter(one => one.state === 'open')}
              keyOf={one => one.name}
              empty={say('no_suggestions')}
              columns={[
                {
                  label: say('domain'),
                  cell: one => (
                    <>
                      <Name text={one.name} />
                      <span class="second">
                        <Moment at={one.first} day /> – <Moment at={one.last} day />
                      </span>
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
                { label: say('queries'), isNumber: true, by: one => one.queries, cell: one => format.count(one.queries) },
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
            </>
          )}
        </Shown>
      </div>
    </>
  )
}
