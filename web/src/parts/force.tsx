// A safety rule objects: the reader may mean it all the same, and says so.
//
// Knows: which refusals can be overruled, who may do that.  Does not know: what is asked for.
// Theory: nobody overrules a rule beforehand.  The choice is there once a rule has objected to what is asked for as
// it stands; whoever changes that is asked anew.
import type { VNode } from 'preact'
import { useState } from 'preact/hooks'
import { isForcible } from '../lib/edits'
import { who } from '../lib/session'
import { useStore } from '../lib/store'
import { useMay } from './actions'
import { useTexts } from './text'

interface Force {
  /** Whether the reader means it although a rule objects. */
  isForced: boolean
  /** Does something, and notes where a rule objects to it. */
  heeding: <Answer>(act: () => Promise<Answer>) => Promise<Answer>
  /** The choice; null: no rule has objected. */
  choice: VNode | null
}

/** `of`: what is asked for, as it stands. */
export function useForce(of: string): Force {
  const say = useTexts()
  const mayApprove = useMay('approve')
  const isTwoPerson = useStore(who).changes === 'two-person'
  const [objected, setObjected] = useState<string | null>(null)
  const [isChosen, setIsChosen] = useState(false)
  const isOpen = objected === of && (mayApprove || isTwoPerson)
  const heeding = async <Answer,>(act: () => Promise<Answer>): Promise<Answer> => {
    try {
      return await act()
    } catch (error) {
      if (isForcible(error) && objected !== of) {
        setObjected(of)
        setIsChosen(false)
      }
      throw error
    }
  }
  const choice = isOpen ? (
    <label class="check field">
      <input
        type="checkbox"
        checked={isChosen}
        onChange={event => setIsChosen((event.currentTarget as HTMLInputElement).checked)}
      />
      <span>{say('edit_force')}</span>
    </label>
  ) : null
  return { isForced: isOpen && isChosen, heeding, choice }
}
