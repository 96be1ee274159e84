// What changed: history with differences in words, proposals to approve, rollback.
//
// Knows: `GET history`, `GET proposals`, what may be done with them.  Does not know: how a difference is found.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Items, useResource } from '../lib/resource'
import { get } from '../lib/api'
import { hrefOf } from '../lib/route'
import type { Generation as Made, Proposal } from '../lib/types'
import { AskDialog, DoButton, useMay } from '../parts/actions'
import { tell, useFailure } from '../parts/dialog'
import { ApprovalFiles, Differences, Remarks } from '../parts/differences'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Card, Facts, Moment, Name, Prose, Say, Stranger, useReader, useTexts } from '../parts/text'

const PAGE = 30

export function HistoryTable({ generations, isShort = false }: { generations: readonly Made[]; isShort?: boolean }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  return (
    <Table
      caption={say('history')}
      rows={generations}
      keyOf={one => one.generation}
      rowsAtFirst={1000}
      empty={say('no_history')}
      columns={[
        {
          label: say('change'),
          cell: one => (
            <>
              <a href={hrefOf(['changes', String(one.generation)])}>
                <Stranger text={one.summary} max={300} />
              </a>{' '}
              {one.cause === 'edit' ? null : <Badge tone="calm">{texts.word(`cause_${one.cause}`, one.cause)}</Badge>}
              {one.reason ? (
                <span class="second">
                  <Stranger text={one.reason} max={300} />
                </span>
              ) : null}
            </>
          ),
        },
        {
          label: say('when'),
          cell: one => (
            <>
              <Moment at={one.at} ago />
              {isShort ? null : (
                <span class="second">
                  <Moment at={one.at} />
                </span>
              )}
            </>
          ),
        },
        {
          label: say('who'),
          cell: one => (
            <>
              <Stranger text={one.who ?? '–'} max={60} /> {one.forced ? <Badge tone="warn">{say('forced')}</Badge> : null}
            </>
          ),
        },
        { label: say('generation'), isNumber: true, cell: one => one.generation },
      ]}
    />
  )
}

/** Those that nobody has decided about. */
export function waiting(proposals: readonly Proposal[]): Proposal[] {
  return proposals.filter(one => one.state === 'open')
}

export function ProposalsTable({ proposals }: { proposals: readonly Proposal[] }): VNode {
  const say = useTexts()
  const mayApprove = useMay('approve')
  const [rejecting, setRejecting] = useState<Proposal | null>(null)
  return (
    <>
      <ul class="problems">
        {waiting(proposals).map(one => (
          <li class="problem" key={one.id}>
            <div class="problem-head">
              <h3>
                <Prose text={one.headline} max={300} />
              </h3>
              <span class="soft small">
                <Stranger text={one.who} max={60} />, <Moment at={one.at} ago />
              </span>
              {one.kind === 'pause' ? <Badge tone="bad">{say('cause_pause')}</Badge> : null}
              {one.forced ? <Badge tone="warn">{say('forced')}</Badge> : null}
              {one.expires_at ? (
                <span class="soft small">
                  <Say say="expires" when={<Moment at={one.expires_at} ago />} />
                </span>
              ) : null}
            </div>
            {one.reason ? (
              <p>
                <Stranger text={one.reason} max={500} />
              </p>
            ) : null}
            <Differences lines={one.words.split('\n').filter(line => line !== one.headline)} />
            <Remarks remarks={one.warnings} />
            <ApprovalFiles files={one.files} />
            {one.base_changed ? <p class="notice warn">{say('proposal_outdated')}</p> : null}
            {mayApprove ? (
              <div class="actions more">
                <DoButton
                  kind={one.kind === 'pause' ? 'primary grave' : 'primary'}
                  label={say('approve')}
                  path={`proposals/${encodeURIComponent(one.id)}/approve`}
                  done={() => say('approved')}
                />
                <button type="button" onClick={() => setRejecting(one)}>
                  {say('reject')}
                </button>
              </div>
            ) : null}
          </li>
        ))}
      </ul>
      {rejecting ? (
        <AskDialog
          title={say('reject')}
          what={say('reject_what')}
          doing={say('reject')}
          path={`proposals/${encodeURIComponent(rejecting.id)}/reject`}
          hasReason
          done={() => say('rejected')}
          onClose={() => setRejecting(null)}
        />
      ) : null}
    </>
  )
}

function ChangesOf({ generation }: { generation: Made }): VNode {
  const say = useTexts()
  if (!generation.changes.length) return <p class="empty">{generation.summary || say('nothing')}</p>
  return (
    <dl class="facts">
      {generation.changes.map(one => (
        <div key={one.what}>
          <dt>
            <Stranger text={one.title} />
          </dt>
          <dd>
            {one.names.map((name, index) => (
              <span key={name}>
                {index ? ', ' : ''}
                <Stranger text={name} max={120} />
              </span>
            ))}
            {one.count > one.names.length ? ` ${say('and_more', { count: one.count - one.names.length })}` : ''}
          </dd>
        </div>
      ))}
    </dl>
  )
}

export function Changes(): VNode {
  const say = useTexts()
  const failureOf = useFailure()
  const { texts } = useReader()
  const mayEdit = useMay('edit')
  const proposals = useResource<Items<Proposal>>('proposals', {}, { isOff: !mayEdit })
  const history = useResource<Items<Made>>('history', { limit: PAGE, language: texts.code })
  const [older, setOlder] = useState<Items<Made> | null>(null)
  const more = async (before: string | number): Promise<void> => {
    try {
      const page = await get<Items<Made>>('history', { limit: PAGE, before, language: texts.code })
      setOlder(known => ({ items: [...(known?.items ?? []), ...page.items], next: page.next ?? null }))
    } catch (error) {
      tell({ tone: 'bad', ...failureOf(error) })
    }
  }
  return (
    <>
      <div class="head">
        <h1>{say('changes')}</h1>
      </div>
      <div class="stack">
        {waiting(proposals.value?.items ?? []).length && proposals.value ? (
          <Card title={say('proposals')}>
            <ProposalsTable proposals={proposals.value.items} />
          </Card>
        ) : null}
        <Card title={say('history')}>
          <Shown of={history}>
            {answer => {
              const next = older ? older.next : answer.next
              return (
                <>
                  <HistoryTable generations={[...answer.items, ...(older?.items ?? [])]} />
                  {next !== null && next !== undefined ? (
                    <p class="more">
                      <button type="button" onClick={() => void more(next)}>
                        {say('older')}
                      </button>
                    </p>
                  ) : null}
                </>
              )
            }}
          </Shown>
        </Card>
      </div>
    </>
  )
}

export function Generation({ number }: { number: string }): VNode {
  const say = useTexts()
  const { texts } = useReader()
  const generation = useResource<Made>(`history/${encodeURIComponent(number)}`, { language: texts.code })
  const mayApprove = useMay('approve')
  const [isGoingBack, setIsGoingBack] = useState(false)
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf(['changes'])}>{say('changes')}</a>
      </p>
      <Shown of={generation}>
        {answer => (
          <>
            <div class="head">
              <h1>{say('generation_number', { number: String(answer.generation) })}</h1>
              {mayApprove && answer.has_text ? (
                <div class="actions">
                  <button type="button" onClick={() => setIsGoingBack(true)}>
                    {say('rollback')}
                  </button>
                </div>
              ) : null}
            </div>
            <div class="stack">
              <Card title={say('facts')}>
                <Facts
                  facts={[
                    [say('when'), <Moment at={answer.at} />],
                    [say('who'), answer.who ? <Stranger text={answer.who} max={100} /> : null],
                    [say('cause'), texts.word(`cause_${answer.cause}`, answer.cause)],
                    [say('reason'), answer.reason ? <Stranger text={answer.reason} max={1000} /> : null],
                    [say('forced'), answer.forced ? say('forced_what') : null],
                    ['sha256', <Name text={answer.sha256} />],
                  ]}
                />
              </Card>
              <Card title={say('what_changed')}>
                <ChangesOf generation={answer} />
              </Card>
            </div>
            {isGoingBack ? <Rollback generation={answer.generation} onClose={() => setIsGoingBack(false)} /> : null}
          </>
        )}
      </Shown>
    </>
  )
}

function Rollback({ generation, onClose }: { generation: number; onClose: () => void }): VNode {
  const say = useTexts()
  return (
    <AskDialog
      title={say('rollback')}
      what={say('rollback_what', { number: String(generation) })}
      doing={say('rollback')}
      path={`history/${generation}/rollback`}
      hasReason
      isGrave
      done={status => say(status === 202 ? 'proposed' : 'rolled_back')}
      onClose={onClose}
    />
  )
}

