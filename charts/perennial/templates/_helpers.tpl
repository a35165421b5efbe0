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

{{/* Two releases in one namespace take turns when that namespace is all that they serve. */}}
{{- define "perennial.lease" -}}
{{- eq .Values.scope "Namespaced" | ternary "perennial-operator" (include "perennial.fullname" .) -}}
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
  drift: {{ include "perennial.image" (list . "drift") | quote }}
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
{{- range $field, $what := dict "prometheusServers" "prometheus" "mlflowServers" "mlflow" "webhooks" "webhook" }}
{{ $field }}:
  {{- range $name, $server := index $.Values $field }}
  {{ $name }}:
    url: {{ $server.url | quote }}
    {{- with $server.secret }}
    {{- with .tokenKey }}
    tokenFile: /etc/perennial-{{ $what }}/{{ $name }}/{{ . }}
    {{- end }}
    {{- with .caKey }}
    caFile: /etc/perennial-{{ $what }}/{{ $name }}/{{ . }}
    {{- end }}
    {{- end }}
  {{- else }} {}
  {{- end }}
{{- end }}
{{- with .Values.receivers }}
receivers:
  {{- range $name, $receiver := . }}
  {{ $name }}:
    form: {{ $receiver.form }}
    {{- with $receiver.url }}
    url: {{ . | quote }}
    {{- end }}
    {{- with $receiver.text }}
    text: {{ . | quote }}
    {{- end }}
    {{- with $receiver.secret }}
    {{- range $key, $field := dict "urlKey" "urlFile" "routingKey" "keyFile" "tokenKey" "tokenFile" "caKey" "caFile" }}
    {{- with index $receiver.secret $key }}
    {{ $field }}: /etc/perennial-receiver/{{ $name }}/{{ . }}
    {{- end }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with .Values.retraining }}
retraining:
  jitter: {{ .jitter }}
  {{- with .maxConcurrent }}
  maxConcurrent: {{ . }}
  {{- end }}
  {{- if .storm.enabled }}
  storm: {{ toJson (omit .storm "enabled") }}
  {{- end }}
{{- end }}
{{- with .Values.mirroringGateways }}
mirroringGateways: {{ toJson . }}
{{- end }}
{{- if .Values.modelCache.enabled }}
modelCache: http://{{ include "perennial.fullname" . }}-model-cache.{{ .Release.Namespace }}.svc
{{- end }}
{{- end -}}

{{/* What the operator does in each namespace that it serves. */}}
{{- define "perennial.rules" -}}
- apiGroups: [perennial.dev]
  resources: [modeldeployments, retrainpolicies]
  verbs: [get, list, watch]
- apiGroups: [perennial.dev]
  resources: [trainingjobs]
  verbs: [get, list, watch, create, delete]
- apiGroups: [perennial.dev]
  resources: [modelversions]
  verbs: [get, list, watch, create]
- apiGroups: [perennial.dev]
  resources: [models, metricseries]
  verbs: [get, list, watch, create, patch]
- apiGroups: [perennial.dev]
  resources: [trainingjobs/status, modelversions/status, modeldeployments/status, retrainpolicies/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create]
- apiGroups: [""]
  resources: [events]
  verbs: [list, create, patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create]
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [perennial-ca]
  verbs: [get, patch]
{{- end -}}

{{/* The name of the Lease. */}}
{{- define "perennial.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ . }}]
  verbs: [get, patch]
{{- end -}}

{{/* All that an operator of one namespace may do. */}}
{{- define "perennial.namespacedRules" -}}
{{ include "perennial.rules" . }}
# Whose token is still good, and who may report.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get]
- apiGroups: [authorization.k8s.io]
  resources: [localsubjectaccessreviews]
  verbs: [create]
# It makes Jobs, and so pods, anyway. The admission policies ask for it, and need not know each operator by name.
- apiGroups: [""]
  resources: [pods]
  verbs: [create]
{{ include "perennial.leaseRules" "perennial-operator" }}
{{- end -}}
