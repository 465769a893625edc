{{/* Names are cut so that they fit DNS labels. */}}
{{- define "proveil-proxy.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "proveil-proxy.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "proveil-proxy.labels" -}}
{{ include "proveil-proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "proveil-proxy.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "proveil-proxy.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* Something to mount at /etc/proveil. */}}
{{- define "proveil-proxy.hasConfigMap" -}}
{{- if or .Values.config.file .Values.config.policy.document -}}true{{- end -}}
{{- end -}}

{{/* The pods have a key of their own: only then can they verify before anybody calls, and be ready in that sense. */}}
{{- define "proveil-proxy.hasKey" -}}
{{- if or .Values.config.apiKey.enabled .Values.config.venice.apiKey.enabled -}}true{{- end -}}
{{- end -}}

{{/* Prometheus of the operator may come from any namespace: it is told by a label that others can set too, so only where reaching the port
is not enough to use the API key, which can also come in by ways that are not looked into here. */}}
{{- define "proveil-proxy.prometheusFromAnywhere" -}}
{{- $config := .Values.config -}}
{{- $mayHaveKey := or (include "proveil-proxy.hasKey" .) $config.extraEnv $config.extraArgs $config.file -}}
{{- $guarded := or (not $mayHaveKey) $config.clientTokens.enabled -}}
{{- if and .Values.serviceMonitor.enabled $guarded (not .Values.networkPolicy.ingress.metricsFrom) -}}true{{- end -}}
{{- end -}}

{{- define "proveil-proxy.scheme" -}}
{{- if .Values.config.tls.enabled -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* Refuses what would be ignored or could not work. */}}
{{- define "proveil-proxy.check" -}}
{{- $config := .Values.config -}}
{{- if contains "privatemode/privatemode-proxy" .Values.image.image -}}
{{- fail "image.image names Privatemode's own proxy: give this one's after the values, as in --set image.image=REGISTRY/proveil-proxy:TAG" -}}
{{- end -}}
{{- if and $config.policy.preset $config.policy.document -}}
{{- fail "config.policy: give a preset or a document, not both" -}}
{{- end -}}
{{- if and $config.venice.apiKey.enabled (not (has "venice" $config.providers)) -}}
{{- fail "config.venice.apiKey.enabled needs venice in config.providers" -}}
{{- end -}}
{{- if and $config.apiKey.enabled (not (has "privatemode" $config.providers)) -}}
{{- fail "config.apiKey.enabled needs privatemode in config.providers" -}}
{{- end -}}
{{- if and (gt (len $config.providers) 1) $config.apiEndpoint.enabled -}}
{{- fail "config.apiEndpoint goes with one provider; for several give base_url in config.file" -}}
{{- end -}}
{{- if and (gt (len $config.providers) 1) (not (and $config.apiKey.enabled $config.venice.apiKey.enabled)) -}}
{{- fail "several providers each need a key: config.apiKey and config.venice.apiKey" -}}
{{- end -}}
{{- if and $config.clientTokens.enabled (not (include "proveil-proxy.hasKey" .)) -}}
{{- fail "config.clientTokens needs a key of the proxy's own: config.apiKey or config.venice.apiKey" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled $config.clientTokens.enabled (not .Values.serviceMonitor.tokenSecret.name) -}}
{{- fail "serviceMonitor needs serviceMonitor.tokenSecret.name where config.clientTokens is enabled: a secret with one of the tokens" -}}
{{- end -}}
{{- end -}}
