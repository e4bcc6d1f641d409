import { Play, Square } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { useSearchParams } from 'wouter'
import { Empty } from '../../components/empty.tsx'
import { Field } from '../../components/field.tsx'
import { PageHead } from '../../components/page-head.tsx'
import { ProblemNote } from '../../components/problem-note.tsx'
import { TenantField } from '../../components/tenant-field.tsx'
import { useDraft } from '../../components/use-draft.ts'
import { useRights } from '../../session/context.tsx'
import { AnswerCard } from './answer-card.tsx'
import { ModelChoice } from './model-choice.tsx'
import { SettingFields, type Settings } from './setting-fields.tsx'
import { describeRun } from './speed.ts'
import { type Run, useRun } from './use-run.ts'
import './playground.css'

/** One prompt to several adapters at the same moment, side by side from the same batch. */
export const PlaygroundPage = () => {
  const { ownTenant, isOperator } = useRights()
  const [params] = useSearchParams()
  const [tenant, setTenant] = useDraft('playground.tenant')
  const [models, setModels] = useState<string[]>(() => params.getAll('model'))
  const [prompt, setPrompt] = useDraft('playground.prompt')
  const [settings, setSettings] = useState<Settings>({
    maxTokens: '256',
    temperature: '0',
    seed: '',
  })
  const { run, start, stop } = useRun()
  const named = params.get('tenant')
  const [isTenantGiven, setIsTenantGiven] = useState(named !== null)
  const slug = ownTenant ?? (isTenantGiven ? named : null) ?? tenant
  const fault = (field: string): string | null =>
    run?.problem?.field === field ? run.problem.message : null

  const submit = (event: FormEvent): void => {
    event.preventDefault()
    start({
      tenant: isOperator ? slug : null,
      models,
      prompt,
      maxTokens: Number(settings.maxTokens),
      temperature: Number(settings.temperature),
      seed: settings.seed === '' ? null : Number(settings.seed),
    })
  }
  return (
    <>
      <PageHead
        title="Playground"
        note="One prompt, several adapters, the same batch. It counts as use of the tenant."
      />
      <form className="playground-form panel panel-body" onSubmit={submit}>
        <div className="fields">
          <TenantField
            value={slug}
            fault={fault('tenant')}
            onChange={(chosen) => {
              setIsTenantGiven(false)
              setTenant(chosen)
            }}
          />
          <ModelChoice
            tenant={slug === '' ? null : slug}
            models={models}
            onChange={setModels}
            fault={fault('models')}
          />
        </div>
        <Field label="Prompt" fault={fault('prompt')}>
          {(control) => (
            <textarea
              {...control}
              className="textarea"
              required
              value={prompt}
              onChange={({ target }) => setPrompt(target.value)}
              onKeyDown={(event) => {
                const isSend = event.key === 'Enter' && (event.ctrlKey || event.metaKey)
                if (isSend) event.currentTarget.form?.requestSubmit()
              }}
            />
          )}
        </Field>
        <div className="row">
          <SettingFields settings={settings} onChange={setSettings} />
          {run?.isRunning === true ? (
            <button type="button" className="button spread" onClick={stop}>
              <Square size={14} aria-hidden />
              Stop
            </button>
          ) : (
            <button
              type="submit"
              className="button primary spread"
              disabled={models.length === 0}
              aria-keyshortcuts="Control+Enter"
            >
              <Play size={14} aria-hidden />
              Run
            </button>
          )}
        </div>
      </form>
      {run === null ? (
        <Empty title="Choose a few adapters and ask them the same">
          Their answers stream side by side, each with the GPU that made it.
        </Empty>
      ) : (
        <Answers run={run} />
      )}
    </>
  )
}

const Answers = ({ run }: { run: Run }) => (
  <>
    {run.problem !== null && <ProblemNote problem={run.problem} />}
    <p className="quiet" role="status">
      {describeRun(run)}
    </p>
    <div className="answers">
      {run.models.map((model) => (
        <AnswerCard
          key={model}
          model={model}
          answer={run.answers[model]}
          isRunning={run.isRunning}
        />
      ))}
    </div>
  </>
)
