// Charts over time, each with its text: a sentence, and the numbers as a table.
//
// Knows: uPlot, the page's colours.  Does not know: where numbers come from.
import type { VNode } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { scheme } from '../lib/reader'
import { useStore } from '../lib/store'
import { rowsOf, summaryOf, type Weighed } from '../lib/summary'
import { Table } from './table'
import { useReader, useTexts } from './text'

export interface Line extends Weighed {
  label: string
  /** The name of a colour of the style sheet: `--line-1`. */
  colour: string
  /** Whether the area below is filled. */
  isFilled?: boolean
}

interface ChartProps {
  title: string
  times: readonly number[]
  lines: readonly Line[]
  range: string
  write: (value: number) => string
  /** For an axis: shorter. */
  writeShort?: (value: number) => string
  height?: number
  /** The top of the axis at the least: 4 for counts, so that its marks are whole. */
  least?: number
}

const ROWS_MAX = 48
/** How much time each range shows, also while there are few figures. */
const SPANS_S: Record<string, number> = { hour: 3_540, day: 85_500, month: 2_581_200 }
/** Between two marks of the axis: minutes, hours, days. */
const INCREMENTS_S = [60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000]

export function Chart({ title, times, lines, range, write, writeShort, height = 200, least = 1e-9 }: ChartProps): VNode {
  const say = useTexts()
  const { format } = useReader()
  const [at, setAt] = useState<number | null>(null)
  const [isTable, setIsTable] = useState(false)
  const isEmpty = !lines.some(line => summaryOf(line.values))
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {lines.map(line => {
            const value = at === null ? summaryOf(line.values)?.last : line.values[at]
            return (
              <li key={line.label}>
                <span class={`swatch ${line.colour.slice(2)}`} aria-hidden="true" />
                {line.label} <b>{value === null || value === undefined ? '–' : write(value)}</b>
              </li>
            )
          })}
          {at !== null && times[at] !== undefined ? <li class="soft">{format.step(times[at] as number, range)}</li> : null}
        </ul>
      </figcaption>
      {isEmpty ? (
        <p class="empty">{say('chart_empty')}</p>
      ) : (
        <Plot {...{ times, lines, range, height, least, setAt }} write={writeShort ?? write} />
      )}
      <p class="unseen">{lines.map(line => sentenceOf(line)).join(' ')}</p>
      {isEmpty ? null : (
        <details onToggle={event => setIsTable((event.currentTarget as HTMLDetailsElement).open)}>
          <summary>{say('chart_table')}</summary>
          {isTable ? (
            <Table
              caption={title}
              columns={[
                { label: say('time'), cell: row => format.step(row.at, range) },
                ...lines.map((line, index) => ({
                  label: line.label,
                  isNumber: true,
                  cell: (row: { values: (number | null)[] }) => {
                    const value = row.values[index]
                    return value === null || value === undefined ? '–' : write(value)
                  },
                })),
              ]}
              rows={rowsOf(times, lines, ROWS_MAX)}
              keyOf={row => row.at}
            />
          ) : null}
        </details>
      )}
    </figure>
  )

  function sentenceOf(line: Line): string {
    const summary = summaryOf(line.values, line.weights)
    if (!summary) return say('chart_none', { line: line.label })
    return say('chart_summary', {
      line: line.label,
      last: write(summary.last),
      mean: write(summary.mean),
      highest: write(summary.highest),
      at: format.step(times[summary.highestAt] ?? 0, range),
    })
  }
}

/** Pixels of the page that a label takes: units of some languages are long. */
function widthOf(canvas: CanvasRenderingContext2D, font: string, text: string): number {
  canvas.save()
  canvas.font = font
  const { width } = canvas.measureText(text)
  canvas.restore()
  return Math.ceil(width)
}

function Plot({ times, lines, range, height, least, setAt, write }: PlotProps): VNode {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const { format } = useReader()
  const chosen = useStore(scheme)
  const [systemTurn, setSystemTurn] = useState(0)
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const hear = (): void => setSystemTurn(turn => turn + 1)
    dark.addEventListener('change', hear)
    return () => dark.removeEventListener('change', hear)
  }, [])

  const labels = lines.map(line => line.label).join('|')
  useEffect(() => {
    const box = place.current
    if (!box) return
    const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
    const axis = { stroke: colour('--soft'), font: '12px system-ui, sans-serif', ticks: { show: false } }
    const made = new uPlot(
      {
        width: Math.max(200, box.clientWidth),
        height,
        legend: { show: false },
        cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
        // Half of the last moment's label stands beyond the last moment.
        padding: [8, 24, 0, 0],
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 28,
            space: 80,
            incrs: INCREMENTS_S,
            values: (_, splits) => splits.map(split => axisText(split, range, format.locale)),
          },
          {
            ...axis,
            grid: { stroke: colour('--line'), width: 1 },
            size: (drawn, values) => Math.max(56, ...(values ?? []).map(value => widthOf(drawn.ctx, axis.font, value) + 14)),
            space: 36,
            values: (_, splits) => splits.map(split => write(split)),
          },
        ],
        scales: {
          // By the figures themselves: of a single one the library makes a day.
          x: {
            range: drawn => {
              const at = drawn.data[0]
              const last = at.at(-1) ?? 0
              return [Math.min(at[0] ?? last, last - (SPANS_S[range] ?? 0)), last]
            },
          },
          y: { range: (_, __, max) => [0, Math.max(least, max * 1.1) || 1] },
        },
        series: [
          {},
          ...lines.map(line => ({
            label: line.label,
            stroke: colour(line.colour),
            width: 1.75,
            points: { show: times.length < 3, size: 5 },
            ...(line.isFilled ? { fill: `${colour(line.colour)}22` } : {}),
          })),
        ],
        hooks: { setCursor: [drawn => setAt(drawn.cursor.idx ?? null)] },
      },
      dataOf(times, lines),
      box,
    )
    plot.current = made
    const sizes = new ResizeObserver(() => made.setSize({ width: Math.max(200, box.clientWidth), height }))
    sizes.observe(box)
    return () => {
      sizes.disconnect()
      made.destroy()
      plot.current = null
    }
    // The numbers are put in below.
  }, [chosen, systemTurn, range, labels, format, height, times.length < 3])

  useEffect(() => {
    plot.current?.setData(dataOf(times, lines))
  }, [times, lines])

  return <div class="plot" dir="ltr" aria-hidden="true" ref={place} />
}

interface PlotProps {
  times: readonly number[]
  lines: readonly Line[]
  range: string
  height: number
  least: number
  setAt: (at: number | null) => void
  write: (value: number) => string
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [[...times], ...lines.map(line => [...line.values])] as uPlot.AlignedData
}

function axisText(atS: number, range: string, locale: string): string {
  const at = new Date(atS * 1000)
  const isMidnight = at.getHours() === 0 && at.getMinutes() === 0
  const as: Intl.DateTimeFormatOptions =
    range === 'month' || isMidnight ? { day: 'numeric', month: 'short' } : { hour: '2-digit', minute: '2-digit' }
  return new Intl.DateTimeFormat(locale, as).format(at)
}
