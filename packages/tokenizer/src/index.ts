export type { ChatTurn } from './chat-template.ts'
export type { Detokenizer } from './detokenizer.ts'
export { loadTokenizer, type Tokenizer } from './tokenizer.ts'
