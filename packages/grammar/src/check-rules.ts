import type { Expression, Rules } from './expression.ts'

/**
 * Whether every rule can end: a rule that must contain itself has no finite text, and one that
 * begins with itself would be expanded for ever.
 */
export const canEnd = (rules: Rules): boolean =>
  finiteRules(rules).size === rules.size && !beginsWithItself(rules)

const finiteRules = (rules: Rules): ReadonlySet<string> => {
  const finite = new Set<string>()
  for (let before = -1; before !== finite.size; ) {
    before = finite.size
    for (const [name, expression] of rules) {
      if (isFiniteText(expression, finite)) finite.add(name)
    }
  }
  return finite
}

const isFiniteText = (expression: Expression, finite: ReadonlySet<string>): boolean => {
  switch (expression.kind) {
    case 'byte':
      return true
    case 'sequence':
      return expression.parts.every((part) => isFiniteText(part, finite))
    case 'choice':
      return expression.options.some((option) => isFiniteText(option, finite))
    case 'repeat':
      return expression.min === 0 || isFiniteText(expression.of, finite)
    case 'rule':
      return finite.has(expression.name)
  }
}

const beginsWithItself = (rules: Rules): boolean => {
  const nullable = nullableRules(rules)
  const done = new Set<string>()
  const open = new Set<string>()
  const visit = (name: string): boolean => {
    if (open.has(name)) return true
    if (done.has(name)) return false
    open.add(name)
    const expression = rules.get(name)
    const found = expression !== undefined && firstRules(expression, nullable).some(visit)
    open.delete(name)
    done.add(name)
    return found
  }
  return [...rules.keys()].some(visit)
}

const nullableRules = (rules: Rules): ReadonlySet<string> => {
  const nullable = new Set<string>()
  for (let before = -1; before !== nullable.size; ) {
    before = nullable.size
    for (const [name, expression] of rules) {
      if (isNullable(expression, nullable)) nullable.add(name)
    }
  }
  return nullable
}

const isNullable = (expression: Expression, nullable: ReadonlySet<string>): boolean => {
  switch (expression.kind) {
    case 'byte':
      return false
    case 'sequence':
      return expression.parts.every((part) => isNullable(part, nullable))
    case 'choice':
      return expression.options.some((option) => isNullable(option, nullable))
    case 'repeat':
      return expression.min === 0 || isNullable(expression.of, nullable)
    case 'rule':
      return nullable.has(expression.name)
  }
}

/** The rules that may be called before any byte. */
const firstRules = (expression: Expression, nullable: ReadonlySet<string>): string[] => {
  switch (expression.kind) {
    case 'byte':
      return []
    case 'sequence': {
      const end = expression.parts.findIndex((part) => !isNullable(part, nullable))
      const parts = end === -1 ? expression.parts : expression.parts.slice(0, end + 1)
      return parts.flatMap((part) => firstRules(part, nullable))
    }
    case 'choice':
      return expression.options.flatMap((option) => firstRules(option, nullable))
    case 'repeat':
      return firstRules(expression.of, nullable)
    case 'rule':
      return [expression.name]
  }
}
