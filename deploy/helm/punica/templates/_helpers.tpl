{{- define "punica.name" -}}
{{- printf "%s-%s" .Release.Name .component | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "punica.selector" -}}
app.kubernetes.io/name: punica
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- with .pool }}
punica/pool: {{ .name }}
{{- end }}
{{- end -}}

{{- define "punica.labels" -}}
{{ include "punica.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "punica.image" -}}
{{- printf "%s:%s" .image.repository (default .Chart.AppVersion .image.tag) | quote -}}
{{- end -}}

{{/* What every pod of ours may do: nothing but its work. */}}
{{- define "punica.pod" -}}
serviceAccountName: {{ include "punica.name" (merge (dict "component" .role) .) }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "punica.container" -}}
imagePullPolicy: {{ .Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
# It may load a model for minutes before it is ready, and answers here all the while.
livenessProbe:
  httpGet: { path: /healthz, port: status }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: status }
  periodSeconds: 5
  timeoutSeconds: 3
{{- end -}}

{{- define "punica.env" -}}
- { name: NATS_URL, value: {{ required "nats.url: the address of the NATS cluster" .Values.nats.url | quote }} }
- { name: LOG_LEVEL, value: {{ .Values.logLevel | quote }} }
- { name: STATUS_HOST, value: 0.0.0.0 }
- { name: STATUS_PORT, value: "9100" }
- { name: POOL, value: {{ .pool.name | quote }} }
- { name: BASE_MODEL, value: {{ .pool.model.name | quote }} }
{{- with .Values.otlpEndpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- range $name, $value := .more }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end -}}

{{- define "punica.modelEnv" -}}
- { name: MODEL_FOLDER, value: {{ printf "/model/%s" .pool.model.path | trimSuffix "/" | quote }} }
{{- end -}}

{{- define "punica.objectStore" -}}
{{- with .Values.objectStore.url }}
- { name: OBJECT_STORE_URL, value: {{ . | quote }} }
{{- end }}
{{- end -}}

{{/* The credential of the role alone, of the Secret that has them all. */}}
{{- define "punica.credentials" -}}
- name: credentials
  secret:
    secretName: {{ .Values.nats.credentialsSecret }}
    defaultMode: 288 # 0440
    items:
{{- range .files }}
      - { key: {{ . }}, path: {{ . }} }
{{- end }}
{{- end -}}

{{- define "punica.modelVolume" -}}
- name: model
  {{- toYaml .pool.model.volume | nindent 2 }}
{{- end -}}

{{/* Pods of one kind on different hosts where that can be. */}}
{{- define "punica.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "punica.selector" . | nindent 8 }}
{{- end -}}

{{/* Without it one node after another could be taken away before the next is ready. */}}
{{- define "punica.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels: {{- include "punica.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "punica.selector" . | nindent 6 }}
{{- end -}}
