import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const controlPlane = process.env.CONTROL_PLANE_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [react()],
  // The size of the first load is checked by the files that it names.
  build: { manifest: true },
  server: {
    proxy: {
      '/graphql': { target: controlPlane, ws: true },
      '/uploads': { target: controlPlane },
      '/usage.csv': { target: controlPlane },
    },
  },
})
