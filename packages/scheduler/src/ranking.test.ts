import { expect, test } from 'vitest'
import { stepMs } from './cost.ts'
import {
  addPlacement,
  addReservation,
  createNode,
  type Demand,
  type Node,
  type Placement,
  removePlacement,
  removeReservation,
  shareOf,
  updateStatus,
} from './ledger.ts'
import { hasRoom, isBusier, type Pace, place } from './place.ts'
import { createRanking } from './ranking.ts'
import { adapterRef, nodeStatus } from './testing/fixtures.ts'
import { createRandom, type Random } from './testing/random.ts'

/** The rule without an index: every node is looked at. */
const placePlainly = (demand: Demand, nodes: readonly Node[], { packMs, maxMs }: Pace) => {
  const withRoom = nodes.filter((node) => hasRoom(node, demand, maxMs))
  const msOf = (node: Node): number => stepMs(node, demand) ?? 0
  const fullestFirst = withRoom.toSorted((a, b) => (isBusier(a, b) ? -1 : 1))
  const inPace = fullestFirst.find((node) => packMs === null || msOf(node) <= packMs)
  if (inPace !== undefined) return inPace
  const quickestFirst = withRoom.toSorted(
    (a, b) => msOf(a) - msOf(b) || (a.status.nodeId > b.status.nodeId ? -1 : 1),
  )
  return quickestFirst[0] ?? null
}

const adapters = ['a', 'b', 'c', 'd'].map((letter, i) => adapterRef(letter, 100 * (i + 1)))

const drawDemand = (random: Random): Demand => ({
  numTokens: 1 + random.below(100),
  adapter: random.chance(0.5) ? (random.pick(adapters) ?? null) : null,
})

const hardware = (bandwidthBytesPerSecond: number) => ({
  backend: 'cuda' as const,
  description: 'test',
  memoryBytes: 0,
  weightBytes: 1_000,
  kvBytesPerToken: 10,
  bandwidthBytesPerSecond,
})

const drawNode = (random: Random, index: number): Node =>
  createNode(
    nodeStatus(`n${index}`, {
      maxBatchSize: 2 + random.below(8),
      numPages: 100,
      freePages: 20 + random.below(80),
      ...(random.chance(0.9) ? { hardware: hardware(1_000_000 * (1 + random.below(3))) } : {}),
    }),
    0,
  )

const toPlacement = (node: Node, requestId: string, demand: Demand): Placement => ({
  ...shareOf(node, demand),
  type: 'placed',
  requestId,
  attempt: 0,
  nodeId: node.status.nodeId,
  gatewayId: 'gw',
  tenant: 'acme',
  placedMs: 0,
  maxTokens: 200,
  charge: null,
  waiting: null,
  mentioned: false,
  unwanted: false,
  evictMs: null,
  adopted: false,
})

const change = (random: Random, node: Node, index: number): void => {
  const demand = drawDemand(random)
  const [placement] = node.placements.values()
  const [reservation] = node.reservations.values()
  const what = random.below(10)
  if (what < 4 && hasRoom(node, demand, null)) {
    addPlacement(node, toPlacement(node, `r${index}`, demand))
  } else if (what < 5 && hasRoom(node, demand, null)) addReservation(node, `r${index}`, demand)
  else if (what < 7 && placement !== undefined) removePlacement(node, placement)
  else if (what < 8 && reservation !== undefined) removeReservation(node, reservation.requestId)
  else if (what < 9) node.suspect = random.chance(0.3)
  else {
    const freePages = random.below(100)
    const maxBatchSize = 2 + random.below(8)
    updateStatus(node, { ...node.status, freePages, maxBatchSize })
  }
}

test.each([1, 2, 3, 4, 5])('the index finds what the plain rule finds (seed %i)', (seed) => {
  const random = createRandom(seed)
  const nodes = Array.from({ length: 1 + random.below(20) }, (_, i) => drawNode(random, i))
  const ranking = createRanking(nodes)
  for (const node of nodes) node.ranking = ranking
  const paces: Pace[] = [
    { packMs: null, maxMs: null },
    { packMs: null, maxMs: 2 },
    { packMs: 1.5, maxMs: null },
    { packMs: 1.5, maxMs: 2.5 },
  ]
  let numPlaced = 0
  for (let i = 0; i < 2_000; i++) {
    const node = random.pick(nodes)
    if (node !== undefined) change(random, node, i)
    const demand = drawDemand(random)
    for (const pace of paces) {
      const found = place(demand, ranking, pace)
      expect(found?.status.nodeId).toBe(placePlainly(demand, nodes, pace)?.status.nodeId)
      if (found !== null) numPlaced++
    }
  }
  expect(numPlaced).toBeGreaterThan(2_000)
})
