// The explain box with all that there is to say.
//
// Knows: the address keeps the name.  Does not know: how anything is decided.
import type { VNode } from 'preact'
import { hrefOf } from '../lib/route'
import { ExplainBox } from '../parts/explain'
import { useTexts } from '../parts/text'

export function ExplainPage({ name }: { name: string }): VNode {
  const say = useTexts()
  return (
    <>
      <div class="head">
        <h1>{say('explain')}</h1>
      </div>
      <div class="card">
        <ExplainBox first={name} isWhole onAsked={asked => history.replaceState(null, '', hrefOf(['explain'], { name: asked }))} />
      </div>
    </>
  )
}
