// Numbers, shares, times and dates in the reader's locale.
//
// Knows: Intl.  Does not know: the clock (`now` is an argument), the page.

/** One reader's ways of writing. */
export class Format {
  readonly locale: string
  private readonly whole: Intl.NumberFormat
  private readonly fine: Intl.NumberFormat
  private readonly short: Intl.NumberFormat
  private readonly share: Intl.NumberFormat
  private readonly dateTime: Intl.DateTimeFormat
  private readonly toTheSecond: Intl.DateTimeFormat
  private readonly dateOnly: Intl.DateTimeFormat
  private readonly timeOnly: Intl.DateTimeFormat
  private readonly relative: Intl.RelativeTimeFormat
  private readonly names: Intl.Collator

  constructor(locale: string, timeZone?: string) {
    this.locale = locale
    const zone = timeZone === undefined ? {} : { timeZone }
    this.whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 })
    this.fine = new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 })
    this.short = new Intl.NumberFormat(locale, { notation: 'compact', maximumSignificantDigits: 3 })
    this.share = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 })
    this.dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', ...zone })
    this.toTheSecond = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'medium', ...zone })
    this.dateOnly = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', ...zone })
    this.timeOnly = new Intl.DateTimeFormat(locale, { timeStyle: 'short', ...zone })
    this.relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
    this.names = new Intl.Collator(locale, { numeric: true })
  }

  /** 12,345 */
  count(value: number): string {
    return this.whole.format(value)
  }

  /** A rate or the like: whole from 10 on, two digits below. */
  rate(value: number): string {
    return Math.abs(value) >= 9.95 || value === 0 ? this.whole.format(value) : this.fine.format(value)
  }

  /** 12.3K, for axes. */
  compact(value: number): string {
    return this.short.format(value)
  }

  /** `value` between 0 and 1. */
  percent(value: number): string {
    return this.share.format(value)
  }

  /** A duration of a response: µs, ms or s, two digits. */
  latency(seconds: number): string {
    if (seconds <= 0) return this.unit(0, 'millisecond')
    if (seconds < 0.000_999_5) return this.unit(seconds * 1e6, 'microsecond')
    if (seconds < 0.999_5) return this.unit(seconds * 1e3, 'millisecond')
    return this.unit(seconds, 'second')
  }

  private unit(value: number, unit: string): string {
    const digits = value >= 99.5 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 2 }
    try {
      return new Intl.NumberFormat(this.locale, { style: 'unit', unit, unitDisplay: 'short', ...digits }).format(value)
    } catch {
      // A browser that does not know microseconds.
      return `${new Intl.NumberFormat(this.locale, digits).format(value)} µs`
    }
  }

  /** A length of time in its largest unit: 3 hr, 5 days. */
  duration(seconds: number): string {
    const [value, unit] = largestUnit(seconds)
    return new Intl.NumberFormat(this.locale, {
      style: 'unit',
      unit,
      unitDisplay: 'long',
      maximumFractionDigits: 0,
    }).format(value)
  }

  /** Date and time of a moment in RFC 3339; what cannot be read stays as it is. */
  moment(text: string): string {
    const at = new Date(text)
    return Number.isNaN(at.getTime()) ? text : this.dateTime.format(at)
  }

  /** Date and time to the second. */
  second(text: string): string {
    const at = new Date(text)
    return Number.isNaN(at.getTime()) ? text : this.toTheSecond.format(at)
  }

  /** The day of a moment, or of a date without a time, which is no moment and has no zone. */
  day(text: string): string {
    const at = new Date(text)
    if (Number.isNaN(at.getTime())) return text
    if (/^\d{4}-\d{2}-\d{2}$/.test(text)) {
      return new Intl.DateTimeFormat(this.locale, { dateStyle: 'medium', timeZone: 'UTC' }).format(at)
    }
    return this.dateOnly.format(at)
  }

  /** The time of day of a moment in Unix seconds. */
  clock(atS: number): string {
    return this.timeOnly.format(new Date(atS * 1000))
  }

  /** Moment in Unix seconds, as a step of a chart is called: time for hours and days, day for a month. */
  step(atS: number, range: string): string {
    const at = new Date(atS * 1000)
    return range === 'month' ? this.dateTime.format(at) : this.timeOnly.format(at)
  }

  /** "in 3 days", "2 hours ago". */
  ago(text: string, nowMs: number): string {
    const at = new Date(text).getTime()
    if (Number.isNaN(at)) return text
    const [value, unit] = largestUnit((at - nowMs) / 1000)
    return this.relative.format(value, unit)
  }

  /** Order of names for people. */
  compare(one: string, other: string): number {
    return this.names.compare(one, other)
  }
}

type Unit = 'second' | 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year'

const UNITS: readonly (readonly [Unit, number])[] = [
  ['second', 60],
  ['minute', 60],
  ['hour', 36],
  ['day', 14],
  ['week', 9],
  ['month', 18],
]
const SECONDS: Record<Unit, number> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
  month: 2_629_746,
  year: 31_556_952,
}

/** `seconds`, also negative, as a whole number of the unit that people would use. */
export function largestUnit(seconds: number): [number, Unit] {
  for (const [unit, fewer] of UNITS) {
    const value = Math.round(seconds / SECONDS[unit])
    if (Math.abs(value) < fewer) return [value === 0 ? 0 : value, unit]
  }
  return [Math.round(seconds / SECONDS.year), 'year']
}

/** Seconds of "10m", "2h", "1d" or a bare number of minutes; null: none of these. */
export function secondsOf(text: string): number | null {
  const found = /^\s*(\d{1,6})\s*([smhd]?)\s*$/i.exec(text)
  if (!found) return null
  const unit = { s: 1, m: 60, h: 3600, d: 86_400 }[(found[2] || 'm').toLowerCase()] ?? 60
  return Number(found[1]) * unit
}
