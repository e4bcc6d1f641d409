import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import { App } from './app.tsx'
import { applyTheme, readTheme } from './shell/theme.ts'

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
applyTheme(readTheme())
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)
