import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: {
      '/graphql': { target: process.env.CONTROL_PLANE_URL ?? 'http://127.0.0.1:4000', ws: true },
    },
  },
})
