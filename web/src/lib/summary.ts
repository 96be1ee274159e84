// What a chart says, in numbers: for those who do not see it.
//
// Knows: series of numbers with gaps.  Does not know: how they are drawn or written.

export type Values = readonly (number | null | undefined)[]

export interface Summary {
  last: number
  mean: number
  highest: number
  /** Where the highest is in the series. */
  highestAt: number
}

/** Null: there is no number in it.  `weights`: how much each counts in the mean; the same without. */
export function summaryOf(values: Values, weights?: Values): Summary | null {
  let highestAt = -1
  let total = 0
  let whole = 0
  let last: number | null = null
  values.forEach((value, index) => {
    if (value === null || value === undefined) return
    const weight = weights ? (weights[index] ?? 0) : 1
    total += value * weight
    whole += weight
    last = value
    if (highestAt < 0 || value > (values[highestAt] as number)) highestAt = index
  })
  if (last === null) return null
  const mean = whole ? total / whole : (summaryOf(values)?.mean ?? last)
  return { last, mean, highest: values[highestAt] as number, highestAt }
}

export interface Row {
  at: number
  values: (number | null)[]
}

export interface Weighed {
  values: Values
  /** How much each counts in means: a share of many more than a share of few. */
  weights?: Values
}

/** At most `rowsMax` rows, each the means of as many steps; `at` is its first step. */
export function rowsOf(times: readonly number[], series: readonly Weighed[], rowsMax: number): Row[] {
  const group = Math.max(1, Math.ceil(times.length / rowsMax))
  const rows: Row[] = []
  for (let from = 0; from < times.length; from += group) {
    rows.push({
      at: times[from] as number,
      values: series.map(
        ({ values, weights }) => summaryOf(values.slice(from, from + group), weights?.slice(from, from + group))?.mean ?? null,
      ),
    })
  }
  return rows
}

/** The points of a small line without axes, in a box of `width` by `height`; gaps are left out. */
export function lineOf(values: Values, width: number, height: number): string {
  const highest = Math.max(1e-9, ...values.map(value => value ?? 0))
  const step = width / Math.max(1, values.length - 1)
  let isDrawing = false
  const marks: string[] = []
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      isDrawing = false
      return
    }
    const x = (index * step).toFixed(1)
    const y = (height - 1 - (value / highest) * (height - 2)).toFixed(1)
    marks.push(`${isDrawing ? 'L' : 'M'}${x} ${y}`)
    isDrawing = true
  })
  return marks.join('')
}

export interface Step<Item> {
  /** Unix seconds. */
  at: number
  /** Undefined: nobody counted then. */
  here: Item | undefined
}

/** The items in order of time, with an empty step wherever one is missing, so that a chart has a gap there. */
export function withGaps<Item extends { at: string }>(items: readonly Item[], stepS: number): Step<Item>[] {
  const steps: Step<Item>[] = []
  for (const here of items) {
    const at = Date.parse(here.at) / 1000
    const before = steps.at(-1)?.at
    // One empty step is gap enough.
    if (before !== undefined && at - before > 1.5 * stepS) steps.push({ at: before + stepS, here: undefined })
    steps.push({ at, here })
  }
  return steps
}
