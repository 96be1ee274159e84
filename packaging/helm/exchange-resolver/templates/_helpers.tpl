{{- define "exchange-resolver.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "exchange-resolver.selector" -}}
app.kubernetes.io/name: exchange-resolver
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "exchange-resolver.labels" -}}
{{ include "exchange-resolver.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "exchange-resolver.configMap" -}}
{{ .Values.existingConfigMap | default (include "exchange-resolver.name" .) }}
{{- end }}
