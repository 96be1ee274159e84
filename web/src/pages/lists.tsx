// Lists: how fresh each is, what it blocks, and fetching it now.
//
// Knows: `GET lists`.  Does not know: how lists are fetched.
import type { VNode } from 'preact'
import { type Items, useResource } from '../lib/resource'
import type { ListLine } from '../lib/types'
import { DoButton, useMay } from '../parts/actions'
import { Action, Audited, hitsOf } from './exchanges'
import { StateBadge } from './orders'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Moment, Stranger, useNow, useReader, useTexts } from '../parts/text'

export function Lists(): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const mayEdit = useMay('edit')
  const lists = useResource<Items<ListLine>>('lists', {}, { every_s: 60 })
  return (
    <>
      <div class="head">
        <h1>{say('lists')}</h1>
      </div>
      <div class="card">
        <Shown of={lists}>
          {answer => (
            <Table
              caption={say('lists')}
              rows={answer.items}
              keyOf={one => one.name}
              empty={say('no_lists')}
              columns={[
                {
                  label: say('list'),
                  cell: one => (
                    <>
                      <Stranger text={one.name} />
                      <span class="second">
                        <Stranger text={one.source} max={120} />
                      </span>
                    </>
                  ),
                },
                { label: say('state'), cell: one => <StateBadge state={one.state} /> },
                { label: say('fetched'), cell: one => <Fetched list={one} /> },
                {
                  label: say('rules'),
                  isNumber: true,
                  by: one => one.names ?? one.records ?? 0,
                  cell: one => (one.names ?? one.records) === null ? '–' : format.count((one.names ?? one.records) as number),
                },
                { label: say('hits_month'), isNumber: true, by: one => hitsOf(one), cell: one => (one.hits ? format.count(hitsOf(one)) : '–') },
                { label: say('audit_last'), cell: one => <Audited audit={one.audit} /> },
                { label: say('action'), cell: one => (one.action ? <Action text={one.action} /> : texts.word(`kind_${one.kind}`, one.kind)) },
                ...(mayEdit
                  ? [
                      {
                        label: say('do'),
                        cell: (one: ListLine) =>
                          one.download ? (
                            <DoButton label={say('fetch_now')} path={`lists/${encodeURIComponent(one.name)}/update`} done={() => say('fetching')} />
                          ) : null,
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

function Fetched({ list }: { list: ListLine }): VNode {
  const say = useTexts()
  const { format } = useReader()
  const nowMs = useNow()
  const { download } = list
  if (!download) return <span class="soft">{say('local_file')}</span>
  if (!download.last_success) return <Badge tone="bad">{say('never')}</Badge>
  const age_s = (nowMs - new Date(download.last_success).getTime()) / 1000
  const isOld = download.refresh_s > 0 && age_s > 2 * download.refresh_s
  return (
    <>
      {isOld ? (
        <Badge tone="warn">
          <Moment at={download.last_success} ago />
        </Badge>
      ) : (
        <Moment at={download.last_success} ago />
      )}{' '}
      {download.lag_s ? <Badge tone="warn">{say('behind', { duration: format.duration(download.lag_s) })}</Badge> : null}
    </>
  )
}
