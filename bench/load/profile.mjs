// Loaded before a service (NODE_OPTIONS=--import), this writes a CPU profile of its whole life to
// PROFILE_FOLDER when it ends; Node 20 takes no --cpu-prof by NODE_OPTIONS.
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { isMainThread } from 'node:worker_threads'

const session = new Session()
if (isMainThread) {
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.start')
  process.once('exit', () => {
    session.post('Profiler.stop', (err, { profile }) => {
      const name = process.argv[1]?.split('/').at(-3)
      const file = `${process.env.PROFILE_FOLDER}/${name}-${process.pid}.cpuprofile`
      if (err === null) writeFileSync(file, JSON.stringify(profile))
    })
  })
}
