import { replay } from './replay.ts'

/** How many differences are printed; all are counted. */
const maxShown = 5

const [path] = process.argv.slice(2)
if (path === undefined) {
  console.error('npm run -w bench replay -- FILE, where FILE was written by simulate --record')
  process.exitCode = 2
} else {
  const { numSteps, differences } = replay(path)
  for (const { index, step, now } of differences.slice(0, maxShown)) {
    console.log(`event ${index}: ${JSON.stringify(step.event)}`)
    console.log(`  then: ${JSON.stringify(step.commands)}`)
    console.log(`  now:  ${JSON.stringify(now)}`)
  }
  console.log(`${numSteps} events, ${differences.length} decided differently`)
  process.exitCode = differences.length === 0 ? 0 : 1
}
