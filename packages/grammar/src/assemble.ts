import type { Expression, Rules } from './expression.ts'

// The engine's instructions (packages/native-sgmv/src/engine/grammar/program.h), three numbers each.
// The program begins at instruction 0 and ends where that routine returns.
const ops = { byte: 0, split: 1, jump: 2, call: 3, return: 4 } as const

/**
 * Rules as the engine's program. `start` is where the text begins. Throws RangeError when it has
 * more than `maxInstructions`; every rule that is called must be there.
 */
export const assemble = (rules: Rules, start: string, maxInstructions: number): number[] => {
  const assembler = new Assembler(maxInstructions)
  // Grows while it is walked: a rule that is not called is not there.
  const names = new Set([start])
  for (const name of names) {
    const expression = rules.get(name)
    if (expression === undefined) throw new Error(`grammar rule ${name} does not exist`)
    for (const called of assembler.addRule(name, expression)) names.add(called)
  }
  return assembler.finish()
}

class Assembler {
  readonly #code: number[] = []
  readonly #starts = new Map<string, number>()
  /** [index in #code of a target, the rule it must point at] */
  readonly #calls: [number, string][] = []
  readonly #maxInstructions: number

  constructor(maxInstructions: number) {
    this.#maxInstructions = maxInstructions
  }

  /** Returns the rules that this one calls. */
  addRule(name: string, expression: Expression): string[] {
    const numCalls = this.#calls.length
    this.#starts.set(name, this.#next())
    this.#tail(expression)
    return this.#calls.slice(numCalls).map(([, called]) => called)
  }

  finish(): number[] {
    for (const [index, name] of this.#calls) this.#code[index] = this.#starts.get(name) ?? 0
    return this.#code
  }

  /** Code that returns after `expression`: a rule in last place is jumped to, so that a chain of rules takes no stack. */
  #tail(expression: Expression): void {
    if (expression.kind === 'rule') {
      this.#callRule(ops.jump, expression.name)
    } else if (expression.kind === 'sequence' && expression.parts.length > 0) {
      for (const part of expression.parts.slice(0, -1)) this.#add(part)
      this.#tail(expression.parts[expression.parts.length - 1] ?? expression)
    } else if (expression.kind === 'choice') {
      this.#alternatives(expression.options, (option) => this.#tail(option))
    } else {
      this.#add(expression)
      this.#emit(ops.return)
    }
  }

  #add(expression: Expression): void {
    switch (expression.kind) {
      case 'byte':
        this.#emit(ops.byte, expression.min, expression.max)
        break
      case 'sequence':
        for (const part of expression.parts) this.#add(part)
        break
      case 'choice':
        this.#choice(expression.options)
        break
      case 'repeat':
        this.#repeat(expression.of, expression.min, expression.max)
        break
      case 'rule':
        this.#callRule(ops.call, expression.name)
    }
  }

  #choice(options: readonly Expression[]): void {
    const ends: number[] = []
    this.#alternatives(options, (option, isLast) => {
      this.#add(option)
      if (!isLast) ends.push(this.#emit(ops.jump))
    })
    for (const end of ends) this.#code[end + 1] = this.#next()
  }

  #alternatives(
    options: readonly Expression[],
    add: (option: Expression, isLast: boolean) => void,
  ): void {
    for (const [i, option] of options.entries()) {
      const isLast = i === options.length - 1
      const split = isLast ? null : this.#emit(ops.split, this.#next() + 1)
      add(option, isLast)
      if (split !== null) this.#code[split + 2] = this.#next()
    }
  }

  #repeat(of: Expression, min: number, max: number | null): void {
    for (let i = 0; i < min; ++i) this.#add(of)
    if (max === null) {
      const split = this.#emit(ops.split, this.#next() + 1)
      this.#add(of)
      this.#emit(ops.jump, split / 3)
      this.#code[split + 2] = this.#next()
      return
    }
    const splits: number[] = []
    for (let i = min; i < max; ++i) {
      splits.push(this.#emit(ops.split, this.#next() + 1))
      this.#add(of)
    }
    for (const split of splits) this.#code[split + 2] = this.#next()
  }

  #callRule(op: number, name: string): void {
    this.#calls.push([this.#emit(op) + 1, name])
  }

  /** Index of the next instruction. */
  #next(): number {
    return this.#code.length / 3
  }

  /** Returns where in #code the instruction stands. */
  #emit(op: number, a = 0, b = 0): number {
    if (this.#next() >= this.#maxInstructions) {
      throw new RangeError(`the grammar has more than ${this.#maxInstructions} instructions`)
    }
    return this.#code.push(op, a, b) - 3
  }
}
