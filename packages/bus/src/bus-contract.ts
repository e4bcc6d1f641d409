import type { Channel, RequestChannel } from '@punica/schema'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { Bus, Problem } from './bus.ts'
import { recordsContract } from './records-contract.ts'
import { collect } from './testing.ts'

const Note = z.strictObject({ text: z.string() })
type Note = z.infer<typeof Note>

const notes = (topic: string): Channel<Note> => ({ subject: `notes.${topic}`, schema: Note })
const anything = (topic: string): Channel<unknown> => ({
  subject: `notes.${topic}`,
  schema: z.unknown(),
})
const questions = (topic: string): RequestChannel<Note, Note> => ({
  subject: `questions.${topic}`,
  request: Note,
  reply: Note,
})
export type MakeBus = (onProblem: (problem: Problem) => void) => Promise<Bus>

/** What every bus does, whatever carries the messages. */
export const busContract = (name: string, makeBus: MakeBus): void => {
  describe(`${name} as a bus`, () => {
    const problems = collect<Problem>()
    let bus: Bus

    beforeAll(async () => {
      bus = await makeBus(problems.push)
    })
    afterAll(() => bus.close())

    describe('publish and subscribe', () => {
      it('delivers in order, to the sender too, and names the subject', async () => {
        const got = collect<[string, string]>()
        bus.subscribe(notes('order.*'), ({ text }, { subject }) => got.push([subject, text]))
        await bus.flush()
        bus.publish(notes('order.a'), { text: '1' })
        bus.publish(notes('order.b'), { text: '2' })
        bus.publish(notes('order.a'), { text: '3' })
        expect(await got.take(3)).toEqual([
          ['notes.order.a', '1'],
          ['notes.order.b', '2'],
          ['notes.order.a', '3'],
        ])
      })

      it('shares messages within a queue and repeats them outside', async () => {
        const all = collect<string>()
        const shared = collect<string>()
        bus.subscribe(notes('queue'), ({ text }) => all.push(text))
        for (const _ of [1, 2, 3]) {
          bus.subscribe(notes('queue'), ({ text }) => shared.push(text), { queue: 'workers' })
        }
        await bus.flush()
        const sent = Array.from({ length: 20 }, (_, i) => `${i}`)
        for (const text of sent) bus.publish(notes('queue'), { text })
        expect(await all.take(20)).toEqual(sent)
        expect((await shared.take(20)).toSorted()).toEqual(sent.toSorted())
      })

      it('stops', async () => {
        const stopped = collect<string>()
        const kept = collect<string>()
        const stop = bus.subscribe(notes('stop'), ({ text }) => stopped.push(text))
        bus.subscribe(notes('stop'), ({ text }) => kept.push(text))
        await bus.flush()
        stop()
        stop()
        await bus.flush()
        bus.publish(notes('stop'), { text: 'late' })
        await kept.take(1)
        expect(stopped.items).toEqual([])
      })

      it('drops what does not parse, reports it, and goes on', async () => {
        const got = collect<string>()
        problems.items.length = 0
        bus.subscribe(notes('bad'), ({ text }) => got.push(text))
        await bus.flush()
        bus.publish(anything('bad'), { text: 7 })
        bus.publish(anything('bad'), { text: 'x', more: true })
        bus.publish(notes('bad'), { text: 'good' })
        expect(await got.take(1)).toEqual(['good'])
        const seen = (await problems.take(2)).map(({ kind, subject }) => [kind, subject])
        expect(seen).toEqual([
          ['invalid', 'notes.bad'],
          ['invalid', 'notes.bad'],
        ])
      })

      it('survives a handler that throws', async () => {
        const got = collect<string>()
        problems.items.length = 0
        bus.subscribe(notes('throw'), ({ text }) => {
          if (text === 'bomb') throw new Error('boom')
          got.push(text)
        })
        await bus.flush()
        bus.publish(notes('throw'), { text: 'bomb' })
        bus.publish(notes('throw'), { text: 'fine' })
        expect(await got.take(1)).toEqual(['fine'])
        expect((await problems.take(1))[0]?.kind).toBe('handler_failed')
      })

      it('carries answers to an inbox, and to nothing else', async () => {
        const got = collect<string>()
        const elsewhere = collect<string>()
        const inbox = bus.inbox()
        expect(bus.inbox()).not.toBe(inbox)
        bus.subscribe({ subject: inbox, schema: Note }, ({ text }) => got.push(text))
        bus.subscribe(notes('elsewhere'), ({ text }) => elsewhere.push(text))
        bus.subscribe(notes('ask'), (_, { replyTo }) => {
          bus.reply('notes.elsewhere', Note, { text: 'stray' })
          bus.reply('', Note, { text: 'nowhere' })
          bus.reply(replyTo, Note, { text: 'one' })
          bus.reply(replyTo, Note, { text: 'two' })
        })
        await bus.flush()
        bus.publish(notes('ask'), { text: '?' }, { replyTo: inbox })
        expect(await got.take(2)).toEqual(['one', 'two'])
        expect(elsewhere.items).toEqual([])
      })

      it('does not even parse what is larger than the listener takes', async () => {
        const got = collect<string>()
        problems.items.length = 0
        bus.subscribe(notes('large'), ({ text }) => got.push(text), {
          maxBytes: 100,
          onOversized: ({ subject }) => got.push(`oversized ${subject}`),
        })
        await bus.flush()
        bus.publish(anything('large'), 'x'.repeat(200))
        bus.publish(notes('large'), { text: 'small' })
        expect(await got.take(2)).toEqual(['oversized notes.large', 'small'])
        expect(problems.items.map(({ kind }) => kind)).toEqual(['oversized'])
      })

      it('carries the trace that a message is a part of', async () => {
        const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
        const got = collect<string | undefined>()
        bus.subscribe(notes('traced'), (_, delivery) => got.push(delivery.traceparent))
        bus.serve(questions('traced'), (note, delivery) => {
          got.push(delivery.traceparent)
          return note
        })
        await bus.flush()
        bus.publish(notes('traced'), { text: '' }, { traceparent })
        bus.publish(notes('traced'), { text: '' })
        await got.take(2)
        await bus.request(questions('traced'), { text: '' }, { timeoutMs: 5000, traceparent })
        expect(got.items).toEqual([traceparent, undefined, traceparent])
      })

      it('tells who asks where nobody listens', async () => {
        const told = collect<string>()
        const inbox = bus.inbox()
        const onNoResponders = () => told.push('nobody')
        bus.subscribe({ subject: inbox, schema: Note }, () => told.push('an answer'), {
          onNoResponders,
        })
        bus.publish(notes('nobody'), { text: '?' }, { replyTo: inbox })
        expect(await told.take(1)).toEqual(['nobody'])
      })

      it('refuses a message above the limit', () => {
        expect(() => bus.publish(notes('big'), { text: 'x'.repeat(9 * 1024 ** 2) })).toThrow(
          expect.objectContaining({ code: 'payload_too_large' }),
        )
      })
    })

    describe('request and serve', () => {
      it('answers, one at a time or many at once', async () => {
        bus.serve(questions('echo'), async ({ text }) => ({ text: `re: ${text}` }))
        await bus.flush()
        const asked = Array.from({ length: 50 }, (_, i) => `${i}`)
        const answers = await Promise.all(
          asked.map((text) => bus.request(questions('echo'), { text }, { timeoutMs: 5000 })),
        )
        expect(answers).toEqual(asked.map((text) => ({ text: `re: ${text}` })))
      })

      it('fails at once when nobody listens', async () => {
        const asked = bus.request(questions('nobody'), { text: '' }, { timeoutMs: 60_000 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
      })

      it('fails in time when the other side throws', async () => {
        problems.items.length = 0
        bus.serve(questions('broken'), () => {
          throw new Error('boom')
        })
        await bus.flush()
        const asked = bus.request(questions('broken'), { text: '' }, { timeoutMs: 50 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
        expect((await problems.take(1))[0]?.kind).toBe('handler_failed')
      })

      it('fails when the answer is not what the channel says', async () => {
        bus.serve({ ...questions('liar'), reply: z.unknown() }, () => ({ wrong: true }))
        await bus.flush()
        const asked = bus.request(questions('liar'), { text: '' }, { timeoutMs: 50 })
        await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
      })

      it('gives up when told to', async () => {
        bus.serve(questions('slow'), () => new Promise(() => {}))
        await bus.flush()
        const stop = new AbortController()
        const ask = (signal: AbortSignal) =>
          bus.request(questions('slow'), { text: '' }, { timeoutMs: 60_000, signal })
        const asked = ask(stop.signal)
        stop.abort()
        await expect(asked).rejects.toMatchObject({ code: 'cancelled' })
        await expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' })
      })

      it('refuses a question above the limit', async () => {
        const text = 'x'.repeat(9 * 1024 ** 2)
        const asked = bus.request(questions('echo'), { text }, { timeoutMs: 5000 })
        await expect(asked).rejects.toMatchObject({ code: 'payload_too_large' })
      })
    })

    recordsContract(() => bus, problems)

    it('delivers what is under way before it closes, and refuses afterwards', async () => {
      const own = await makeBus(() => {})
      const got = collect<string>()
      own.subscribe(notes('closing'), ({ text }) => got.push(text))
      await own.flush()
      own.publish(notes('closing'), { text: 'last' })
      await own.close()
      expect(got.items).toEqual(['last'])
      expect(() => own.publish(notes('closing'), { text: 'late' })).toThrow(
        expect.objectContaining({ code: 'unavailable' }),
      )
      await expect(
        own.request(questions('echo'), { text: '' }, { timeoutMs: 50 }),
      ).rejects.toMatchObject({ code: 'unavailable' })
    })
  })
}
