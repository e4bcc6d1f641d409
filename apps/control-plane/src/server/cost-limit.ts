import {
  type ASTVisitor,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLField,
  type GraphQLNamedType,
  getNamedType,
  getNullableType,
  isInterfaceType,
  isListType,
  isObjectType,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql'

const maxDepth = 12
const maxCost = 20_000

/** Items that a list is taken to have where nothing bounds it. */
const assumedItems = 10
/** What a field of a root type costs beside what it answers: each is work for the database. */
const rootCosts = { query: 100, mutation: 1_000, subscription: 0 } as const

/** `first` in a variable may be anything up to the most that is allowed. */
const assumedFirst = 100

type Weight = { depth: number; cost: number }
/** Where a selection stands: its type, and the items of each list right below, if they are bounded. */
type Place = { type: GraphQLNamedType; items: number | null }

/**
 * A validation rule that bounds what one operation may ask for: how deep it nests, and about how
 * many values it can answer. Every field of the root costs something by itself, so that aliases do
 * not multiply the work. A field below costs one, times the items of the lists around it: as many as
 * `first` says where there is one, else a fixed guess. Fragments count where they are used.
 * Introspection is free: who may use it is decided elsewhere.
 */
export const costLimit = (context: ValidationContext): ASTVisitor => {
  const weigh = createScale(context)
  return {
    OperationDefinition: (operation) => {
      const type = context.getSchema().getRootType(operation.operation)
      if (type === undefined || type === null) return
      const { depth, cost } = weigh(operation.selectionSet, { type, items: null })
      const refuse = (message: string): void =>
        context.reportError(new GraphQLError(`The operation ${message}`, { nodes: operation }))
      if (depth > maxDepth) refuse(`nests ${depth} levels, the limit is ${maxDepth}`)
      if (cost > maxCost) {
        refuse(`may answer ${cost} values, the limit is ${maxCost}; ask for shorter lists`)
      }
    },
  }
}

const createScale = (context: ValidationContext) => {
  /** Each is weighed once a place; one under way (a cycle, which another rule refuses) is free. */
  const fragments = new Map<string, Weight>()

  const weighAll = (selectionSet: SelectionSetNode, place: Place): Weight => {
    const total = { depth: 0, cost: 0 }
    for (const selection of selectionSet.selections) {
      const { depth, cost } = weighOne(selection, place)
      total.depth = Math.max(total.depth, depth)
      total.cost += cost
    }
    return total
  }

  const weighOne = (selection: SelectionNode, place: Place): Weight => {
    switch (selection.kind) {
      case Kind.FIELD:
        return weighField(selection, place)
      case Kind.INLINE_FRAGMENT:
        return weighAll(selection.selectionSet, within(place, selection.typeCondition?.name.value))
      case Kind.FRAGMENT_SPREAD: {
        const fragment = context.getFragment(selection.name.value)
        return fragment ? weighFragment(fragment, place) : { depth: 0, cost: 0 }
      }
    }
  }

  const weighFragment = (fragment: FragmentDefinitionNode, place: Place): Weight => {
    const key = `${fragment.name.value} ${place.items}`
    const known = fragments.get(key)
    if (known !== undefined) return known
    fragments.set(key, { depth: 0, cost: 0 })
    const condition = fragment.typeCondition.name.value
    const weight = weighAll(fragment.selectionSet, within(place, condition))
    fragments.set(key, weight)
    return weight
  }

  const within = (place: Place, typeName: string | undefined): Place => {
    const type = typeName === undefined ? undefined : context.getSchema().getType(typeName)
    return type === undefined ? place : { ...place, type }
  }

  const weighField = (field: FieldNode, { type, items }: Place): Weight => {
    const isComposite = isObjectType(type) || isInterfaceType(type)
    const definition = isComposite ? type.getFields()[field.name.value] : undefined
    const ownCost = rootCostOf(context, type) ?? 1
    if (definition === undefined || field.selectionSet === undefined) {
      return { depth: 1, cost: ownCost }
    }
    const isList = isListType(getNullableType(definition.type))
    const below = weighAll(field.selectionSet, {
      type: getNamedType(definition.type),
      items: firstOf(field, definition),
    })
    const numItems = isList ? (items ?? assumedItems) : 1
    return { depth: below.depth + 1, cost: ownCost + numItems * below.cost }
  }

  return weighAll
}

const rootCostOf = (context: ValidationContext, type: GraphQLNamedType): number | null => {
  const schema = context.getSchema()
  if (type === schema.getQueryType()) return rootCosts.query
  if (type === schema.getMutationType()) return rootCosts.mutation
  return type === schema.getSubscriptionType() ? rootCosts.subscription : null
}

/** The value of `first`, the schema's where the operation gives none; null without such an argument. */
const firstOf = (field: FieldNode, definition: GraphQLField<unknown, unknown>): number | null => {
  const argument = definition.args.find(({ name }) => name === 'first')
  if (argument === undefined) return null
  const given = field.arguments?.find(({ name }) => name.value === 'first')?.value
  if (given?.kind === Kind.INT) return Number(given.value)
  return given === undefined && typeof argument.defaultValue === 'number'
    ? argument.defaultValue
    : assumedFirst
}
