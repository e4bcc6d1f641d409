import { Field } from '../../components/field.tsx'

const choices: [title: string, days: string][] = [
  ['Never', ''],
  ['In 7 days', '7'],
  ['In 30 days', '30'],
  ['In 90 days', '90'],
  ['In a year', '365'],
]

type Props = { value: string; onChange: (days: string) => void }

/** When something ends by itself. */
export const ExpiryField = ({ value, onChange }: Props) => (
  <Field label="Expires">
    {(control) => (
      <select
        {...control}
        className="select"
        value={value}
        onChange={({ target }) => onChange(target.value)}
      >
        {choices.map(([title, days]) => (
          <option key={days} value={days}>
            {title}
          </option>
        ))}
      </select>
    )}
  </Field>
)

const dayMs = 86_400_000

/** The instant that is so many days from now; null: never. */
export const toExpiry = (days: string): string | null =>
  days === '' ? null : new Date(Date.now() + Number(days) * dayMs).toISOString()
