// Server-sent events, read piece by piece.
//
// Knows: the format (WHATWG HTML, "Server-sent events").  Does not know: HTTP, what the events mean.
// Theory: EventSource cannot send an Authorization header, so the stream is fetched and read here.

export interface ServerEvent {
  event: string
  data: string
}

/** As much as one event may have; what goes on longer is no event of ours. */
const EVENT_CHARACTERS_MAX = 1_000_000

/** Pieces of text in, whole events out. */
export class EventReader {
  private rest = ''
  private event = ''
  private data: string[] = []
  private size = 0

  /** The events that end in this piece.  Raises Error where one is too long. */
  read(piece: string): ServerEvent[] {
    const events: ServerEvent[] = []
    // A CR at the end may be the first half of CR LF.
    const text = this.rest + piece
    const lines = text.split(/\r\n|\n|\r(?!$)/)
    this.rest = lines.pop() ?? ''
    for (const line of lines) {
      const ended = this.take(line)
      if (ended) events.push(ended)
    }
    if (this.size + this.rest.length > EVENT_CHARACTERS_MAX) throw new Error('an event is too long')
    return events
  }

  private take(line: string): ServerEvent | null {
    if (line === '') {
      const ended = this.data.length ? { event: this.event || 'message', data: this.data.join('\n') } : null
      this.event = ''
      this.data = []
      this.size = 0
      return ended
    }
    const colon = line.indexOf(':')
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'event') this.event = value
    if (field === 'data') {
      this.data.push(value)
      this.size += value.length
    }
    return null
  }
}

/** How long to wait before the next try, in seconds: 1, 2, 4 ... 30, somewhat spread (`chance` from 0 to 1). */
export function waitBefore(tries: number, chance: number): number {
  return Math.min(30, 2 ** Math.min(tries, 5)) * (0.75 + chance / 2)
}
