// The service: the server itself, upstreams, certificates, audits; and what is done to it by hand.
//
// Knows: `GET status`, `upstreams`, `certificates`, `audits`.  Does not know: how they come about.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { type Items, SELDOM_S, useResource } from '../lib/resource'
import type { Audit, AuditRun, AuditRuns, Certificate, Finding, Status, Upstream } from '../lib/types'
import { AskDialog, DoButton, FlushDialog, PauseDialog, useMay } from '../parts/actions'
import { Shown } from '../parts/shown'
import { Table } from '../parts/table'
import { Badge, Card, Facts, Moment, Name, Prose, Stranger, useNow, useReader, useTexts } from '../parts/text'

const SOON_MS = 21 * 86_400_000

export function Service(): VNode {
  const say = useTexts()
  return (
    <>
      <div class="head">
        <h1>{say('service')}</h1>
        <Doing />
      </div>
      <div class="stack">
        <Server />
        <Upstreams />
        <Audits />
        <Findings />
        <Certificates />
      </div>
    </>
  )
}

/** What may be done by hand. */
export function Doing(): VNode | null {
  const say = useTexts()
  const mayEdit = useMay('edit')
  const mayApprove = useMay('approve')
  const [open, setOpen] = useState<'pause' | 'flush' | 'reload' | null>(null)
  const close = (): void => setOpen(null)
  if (!mayEdit) return null
  return (
    <div class="actions">
      <button type="button" onClick={() => setOpen('reload')}>
        {say('reload')}
      </button>
      <button type="button" onClick={() => setOpen('flush')}>
        {say('flush')}
      </button>
      {mayApprove ? (
        <button type="button" onClick={() => setOpen('pause')}>
          {say('pause')}
        </button>
      ) : null}
      {open === 'reload' ? (
        <AskDialog title={say('reload')} what={say('reload_what')} doing={say('reload')} path="reload" done={() => say('reloaded')} onClose={close} />
      ) : null}
      {open === 'flush' ? <FlushDialog onClose={close} /> : null}
      {open === 'pause' ? <PauseDialog onClose={close} /> : null}
    </div>
  )
}

function Server(): VNode {
  const say = useTexts()
  const { format } = useReader()
  const status = useResource<Status>('status', {}, { every_s: 15 })
  return (
    <Card title={say('server')}>
      <Shown of={status}>
        {answer => (
          <Facts
            facts={[
              [say('state'), answer.ready ? <Badge tone="good">{say('ready')}</Badge> : <Badge tone="bad">{say('not_ready')}</Badge>],
              ...Object.entries({ ...answer.reasons, ...answer.remarks }).map(
                ([topic, text]) => [topic, <Prose text={text} />] as [string, VNode],
              ),
              [say('version'), `${answer.version} (${answer.engine})`],
              [say('started'), <Moment at={answer.started_at} />],
              [say('listens'), <Stranger text={[...answer.listening.dns, ...answer.listening.tls, ...answer.listening.https].join(', ')} max={400} />],
              [say('policy_loaded'), answer.policy.loaded_at ? <Moment at={answer.policy.loaded_at} /> : null],
              [
                say('in_force'),
                `${say('exchanges_count', { count: answer.policy.exchanges['enforced'] ?? 0 })}, ${say('domains_count', { count: answer.policy.domains['enforced'] ?? 0 })}`,
              ],
              [say('confidential'), answer.policy.confidential_exchanges ? format.count(answer.policy.confidential_exchanges) : null],
              [say('queries_since'), format.count(answer.queries)],
              [say('blocked_since'), format.count(answer.blocked)],
              [say('cache'), say('cache_entries', { count: answer.cache.entries })],
              [say('changes_are'), say(answer.changes === 'two-person' ? 'two_person' : 'direct')],
            ]}
          />
        )}
      </Shown>
    </Card>
  )
}

function Upstreams(): VNode {
  const say = useTexts()
  const { format } = useReader()
  const upstreams = useResource<Items<Upstream>>('upstreams', {}, { every_s: 15 })
  const write = (seconds: number | null): string => (seconds === null ? '–' : format.latency(seconds))
  const failed = (one: Upstream): number => Object.values(one.failures).reduce((sum, count) => sum + count, 0)
  return (
    <Card title={say('upstreams')}>
      <Shown of={upstreams}>
        {answer => (
          <Table
            caption={say('upstreams')}
            rows={answer.items}
            keyOf={one => one.name}
            columns={[
              { label: say('upstream'), cell: one => <Name text={one.name} /> },
              {
                label: say('state'),
                cell: one => <Badge tone={one.up ? 'good' : 'bad'}>{say(one.up ? 'upstream_up' : 'upstream_down')}</Badge>,
              },
              { label: say('queries_since'), isNumber: true, cell: one => format.count(one.queries) },
              {
                label: say('failures'),
                isNumber: true,
                cell: one => (
                  <>
                    {format.count(failed(one))}
                    <span class="second">
                      {Object.entries(one.failures)
                        .filter(([, count]) => count)
                        .map(([reason, count]) => `${reason} ${format.count(count)}`)
                        .join(', ')}
                    </span>
                  </>
                ),
              },
              { label: 'p50', isNumber: true, cell: one => write(one.p50_s) },
              { label: 'p99', isNumber: true, cell: one => write(one.p99_s) },
            ]}
          />
        )}
      </Shown>
    </Card>
  )
}

function Certificates(): VNode {
  const say = useTexts()
  const nowMs = useNow()
  const certificates = useResource<Items<Certificate>>('certificates', {}, { every_s: SELDOM_S })
  const tone = (one: Certificate): 'good' | 'warn' | 'bad' => {
    const left = new Date(one.valid_until).getTime() - nowMs
    return left < 0 ? 'bad' : left < SOON_MS ? 'warn' : 'good'
  }
  return (
    <Card title={say('certificates')}>
      <Shown of={certificates}>
        {answer => (
          <Table
            caption={say('certificates')}
            rows={answer.items}
            keyOf={one => `${one.use} ${one.file}`}
            empty={say('no_certificates')}
            columns={[
              { label: say('names'), cell: one => <Stranger text={one.names.join(', ')} max={300} /> },
              {
                label: say('valid_until'),
                cell: one => (
                  <>
                    <Badge tone={tone(one)}>
                      <Moment at={one.valid_until} ago />
                    </Badge>
                    <span class="second">
                      <Moment at={one.valid_until} />
                    </span>
                  </>
                ),
              },
              {
                label: say('written_at'),
                cell: one => (
                  <>
                    <Name text={one.file} />
                    <span class="second">
                      <Prose text={one.remark} />
                    </span>
                  </>
                ),
              },
            ]}
          />
        )}
      </Shown>
    </Card>
  )
}

const FINDINGS = ['uncovered', 'overblocked', 'unknown'] as const

function Audits(): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const mayEdit = useMay('edit')
  const audits = useResource<AuditRuns>('audits', {}, { every_s: 30 })
  return (
    <Card
      title={say('audits')}
      actions={mayEdit ? <DoButton label={say('audit_now')} path="audits" done={() => say('auditing')} /> : null}
    >
      <Shown of={audits}>
        {answer => (
          <Table
            caption={say('audits')}
            rows={answer.items}
            keyOf={one => `${one.ended_at} ${one.cause}`}
            empty={say('no_audits')}
            rowsAtFirst={10}
            columns={[
              { label: say('when'), cell: one => <Moment at={one.ended_at} /> },
              {
                label: say('result'),
                cell: one => (
                  <>
                    <Badge tone={one.result === 'clean' ? 'good' : 'bad'}>{texts.word(`audit_${one.result}`, one.result)}</Badge>
                    <span class="second">
                      <Prose text={one.reason} max={300} />
                    </span>
                  </>
                ),
              },
              { label: say('audit_covered'), isNumber: true, cell: one => format.count(one.counts?.['covered'] ?? 0) },
              ...FINDINGS.map(finding => ({
                label: say(`audit_${finding}`),
                isNumber: true,
                cell: (one: AuditRun) => format.count(one.counts?.[finding] ?? 0),
              })),
              { label: say('cause'), cell: one => texts.word(`cause_${one.cause}`, one.cause) },
            ]}
          />
        )}
      </Shown>
    </Card>
  )
}

/** What the last audit found wrong, name by name; nothing where it found nothing. */
function Findings(): VNode | null {
  const say = useTexts()
  const { texts } = useReader()
  const audit = useResource<Audit>('audits/latest', {}, { every_s: 60 })
  const found = audit.value
  if (!found || (!found.findings.length && !found.lists_behind.length)) return null
  return (
    <Card title={say('audit_findings')}>
      <Table<Finding & { number: number }>
        caption={say('audit_findings')}
        rows={found.findings.map((one, number) => ({ ...one, number }))}
        keyOf={one => one.number}
        columns={[
          { label: say('domain'), cell: one => <Name text={one.name} /> },
          { label: say('result'), cell: one => <Badge tone="bad">{texts.word(`audit_${one.status}`, one.status)}</Badge> },
          { label: say('source'), cell: one => <Stranger text={one.source} max={80} /> },
          {
            label: say('why'),
            cell: one => (
              <>
                <Prose text={one.detail} max={400} />
                <span class="second">
                  <Stranger text={[one.question, one.listener].filter(Boolean).join(', ')} max={200} />
                </span>
              </>
            ),
          },
        ]}
      />
      {found.lists_behind.map(one => (
        <p key={one.list}>
          <Stranger text={one.list} />: <Prose text={one.detail} />
        </p>
      ))}
    </Card>
  )
}
