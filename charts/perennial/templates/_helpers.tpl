{{- define "perennial.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of what lies in the release's namespace. */}}
{{- define "perennial.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "perennial.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "perennial.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of what belongs to the cluster: two releases of one name in two namespaces must not meet. */}}
{{- define "perennial.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "perennial.fullname" .) -}}
{{- end -}}

{{- define "perennial.selectorLabels" -}}
app.kubernetes.io/name: {{ include "perennial.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "perennial.labels" -}}
{{ include "perennial.selectorLabels" . }}
app.kubernetes.io/part-of: perennial
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "perennial.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "perennial.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* (list . "operator"): the reference of one of the images. */}}
{{- define "perennial.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $image := $root.Values.image -}}
{{- if get $image.overrides $name -}}
{{- get $image.overrides $name -}}
{{- else -}}
{{- printf "%s%s/%s:%s" (empty $image.registry | ternary "" (printf "%s/" $image.registry)) $image.repository $name (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The configuration file, as operator/perennial/config.py reads it. */}}
{{- define "perennial.config" -}}
images:
  agent: {{ include "perennial.image" (list . "agent") | quote }}
  server: {{ include "perennial.image" (list . "server") | quote }}
  pullPolicy: {{ .Values.image.pullPolicy }}
defaults:
  {{- with .Values.defaults.output }}
  output: {{ . | quote }}
  {{- end }}
  claim:
    size: {{ .Values.defaults.claim.size | quote }}
    {{- with .Values.defaults.claim.storageClassName }}
    storageClassName: {{ . | quote }}
    {{- end }}
  podSecurity:
    {{- $security := .Values.defaults.podSecurity }}
    {{- range list "runAsUser" "runAsGroup" "fsGroup" "allowPrivilegeEscalation" "seccompProfile" }}
    {{ . }}: {{ hasKey $security . | ternary (get $security . | toJson) "null" }}
    {{- end }}
  agentResources:
    {{- toYaml .Values.defaults.agentResources | nindent 4 }}
trainingRuntimes:
  {{- tpl (toYaml .Values.trainingRuntimes) . | nindent 2 }}
servingRuntimes:
  {{- tpl (toYaml .Values.servingRuntimes) . | nindent 2 }}
{{- end -}}
