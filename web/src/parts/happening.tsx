// What is happening: figures of this second, and charts of the last hour, day and month.
//
// Knows: live figures, `GET series`.  Does not know: how they are counted.
import type { VNode } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { KEPT_S, now, past } from '../lib/live'
import { useResource } from '../lib/resource'
import { useStore } from '../lib/store'
import { type Step, lineOf, withGaps, type Values } from '../lib/summary'
import type { Now, Series, SeriesStep } from '../lib/types'
import { Chart, type Line } from './chart'
import { Shown } from './shown'
import { useReader, useTexts } from './text'

export const RANGES = ['hour', 'day', 'month'] as const
export type Range = (typeof RANGES)[number]

export function RangeChoice({ range, onChoose }: { range: Range; onChoose: (range: Range) => void }): VNode {
  const say = useTexts()
  return (
    <div class="choice" role="group" aria-label={say('range')}>
      {RANGES.map(one => (
        <button type="button" aria-pressed={one === range} onClick={() => onChoose(one)} key={one}>
          {say(`range_${one}`)}
        </button>
      ))}
    </div>
  )
}

export function Tiles(): VNode {
  const say = useTexts()
  const { format } = useReader()
  const current = useStore(now)
  const before = useStore(past)
  const share = current?.cache_hit_share
  return (
    <div class="tiles">
      <Tile
        label={say('queries_per_s')}
        figure={current ? format.rate(current.queries_per_s) : '–'}
        line={before.map(one => one.queries_per_s)}
      />
      <Tile
        label={say('blocked_per_s')}
        figure={current ? format.rate(current.blocked_per_s) : '–'}
        line={before.map(one => one.blocked_per_s)}
        kind="blocked"
      />
      <Tile
        label={say('cache_hit_share')}
        figure={share === null || share === undefined ? '–' : format.percent(share)}
        line={before.map(one => one.cache_hit_share)}
        kind="cache"
      />
      <div class="tile wide">
        <span class="label" id="latency">
          {say('latency')}
        </span>
        <LatencyTable current={current} />
      </div>
    </div>
  )
}

function Tile({ label, figure, line, kind = '' }: { label: string; figure: string; line: readonly (number | null)[]; kind?: string }): VNode {
  const padded = [...Array.from({ length: KEPT_S - line.length }, () => null), ...line]
  return (
    <div class="tile">
      <span class="label">{label}</span>
      <span class="figure">{figure}</span>
      <svg viewBox="0 0 180 32" preserveAspectRatio="none" aria-hidden="true">
        <path class={kind} d={lineOf(padded, 180, 32)} />
      </svg>
    </div>
  )
}

function LatencyTable({ current }: { current: Now | null }): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const sources = Object.entries(current?.latency ?? {}).filter(([, one]) => one.p50_s !== null)
  const write = (seconds: number | null): string => (seconds === null ? '–' : format.latency(seconds))
  if (!sources.length) return <p class="empty">{say(current ? 'no_queries_now' : 'waiting_for_figures')}</p>
  return (
    <table class="tight small" aria-labelledby="latency">
      <thead>
        <tr>
          <th scope="col">{say('source')}</th>
          <th scope="col" class="number">
            p50
          </th>
          <th scope="col" class="number">
            p99
          </th>
        </tr>
      </thead>
      <tbody>
        {sources.map(([source, one]) => (
          <tr key={source}>
            <th scope="row">{texts.word(`source_${source}`, source)}</th>
            <td class="number">{write(one.p50_s)}</td>
            <td class="number">{write(one.p99_s)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

const EVERY_S: Record<Range, number> = { hour: 30, day: 120, month: 600 }

export function Charts(): VNode {
  const say = useTexts()
  const [range, setRange] = useState<Range>('hour')
  const series = useResource<Series>('series', { range }, { every_s: EVERY_S[range] })
  return (
    <section class="card" aria-labelledby="over-time">
      <div class="card-head">
        <h3 id="over-time">{say('over_time')}</h3>
        <RangeChoice range={range} onChoose={setRange} />
      </div>
      <Shown of={series}>{answer => <Drawn series={answer} range={range} />}</Shown>
    </section>
  )
}

/** The colours of sources; always the same. */
const COLOURS: Record<string, string> = {
  policy: '--line-2',
  cache: '--line-3',
  upstream: '--line-1',
  stale: '--line-5',
  local: '--line-4',
}

/** All steps, also those in which nobody counted. */
function stepsOf(series: Series): Step<SeriesStep>[] {
  return withGaps(
    series.items.filter(step => step.covered_s > 0),
    series.step_s,
  )
}

function Drawn({ series, range }: { series: Series; range: Range }): VNode {
  const say = useTexts()
  const { format, texts } = useReader()
  const drawn = useMemo(() => {
    const steps = stepsOf(series)
    const times = steps.map(step => step.at)
    const rate = (part: 'queries' | 'blocked'): Values => steps.map(step => (step.here ? step.here[part] / step.here.covered_s : null))
    const traffic: Line[] = [
      { label: say('queries_per_s'), values: rate('queries'), colour: '--line-1', isFilled: true },
      { label: say('blocked_per_s'), values: rate('blocked'), colour: '--line-2', isFilled: true },
    ]
    const share: Line[] = [
      {
        label: say('cache_hit_share'),
        values: steps.map(step => (step.here?.answers ? step.here.cache_hits / step.here.answers : null)),
        weights: steps.map(step => step.here?.answers),
        colour: '--line-3',
        isFilled: true,
      },
    ]
    const sources = [...new Set(steps.flatMap(step => Object.keys(step.here?.latency ?? {})))]
    const latency = (part: 'p50_s' | 'p99_s'): Line[] =>
      sources
        .map(source => ({
          label: texts.word(`source_${source}`, source),
          values: steps.map(step => step.here?.latency[source]?.[part] ?? null),
          colour: COLOURS[source] ?? '--line-6',
        }))
        .filter(line => line.values.some(value => value !== null))
    return { times, traffic, share, p50: latency('p50_s'), p99: latency('p99_s') }
  }, [series, texts])
  return (
    <div class="stack">
      <Chart title={say('traffic')} times={drawn.times} lines={drawn.traffic} range={range} write={value => format.rate(value)} writeShort={value => format.compact(value)} />
      <div class="two">
        <Chart title={say('cache')} times={drawn.times} lines={drawn.share} range={range} write={value => format.percent(value)} height={150} />
        <Chart title={say('latency_p99')} times={drawn.times} lines={drawn.p99} range={range} write={value => format.latency(value)} height={150} />
      </div>
      <details>
        <summary>{say('latency_p50')}</summary>
        <Chart title={say('latency_p50')} times={drawn.times} lines={drawn.p50} range={range} write={value => format.latency(value)} height={150} />
      </details>
    </div>
  )
}
