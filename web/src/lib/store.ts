// Values that several parts of the page show, and who is told when they change.
//
// Knows: Preact's hooks.  Does not know: what the values are.
import { useEffect, useState } from 'preact/hooks'

export class Store<Value> {
  private readonly hearers = new Set<() => void>()

  constructor(public value: Value) {}

  set(value: Value): void {
    if (Object.is(value, this.value)) return
    this.value = value
    for (const hearer of [...this.hearers]) hearer()
  }

  /** Call `hearer` at each change; returns what ends that. */
  hear(hearer: () => void): () => void {
    this.hearers.add(hearer)
    return () => this.hearers.delete(hearer)
  }
}

/** The store's value; the component is drawn anew when it changes. */
export function useStore<Value>(store: Store<Value>): Value {
  const [, draw] = useState(0)
  const drawn = store.value
  useEffect(() => {
    const hear = (): void => draw(count => count + 1)
    // It may have changed between being drawn and this.
    if (!Object.is(store.value, drawn)) hear()
    return store.hear(hear)
  }, [store])
  return drawn
}
