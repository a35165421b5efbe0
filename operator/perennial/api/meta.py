"""Group, labels and annotations: the names that objects of Perennial carry."""

GROUP = "perennial.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "perennial"

# On every object that the operator makes in a user's namespace; the watches of core kinds select by it.
LABEL_OWNED = f"{GROUP}/owned"
LABEL_TRAININGJOB = f"{GROUP}/trainingjob"
LABEL_MODEL = f"{GROUP}/model"
LABEL_MODEL_VERSION = f"{GROUP}/model-version"
LABEL_MODELDEPLOYMENT = f"{GROUP}/modeldeployment"
LABEL_REVISION = f"{GROUP}/revision"
# On the pods that replay golden requests: the ModelDeployment, whose Service must not select them.
LABEL_GOLDEN = f"{GROUP}/golden"
# The same on the pods that look at a revision for an analysis.
LABEL_CHECK = f"{GROUP}/check"
# On a revision's Deployment: the serving runtime that it was made of.
LABEL_RUNTIME = f"{GROUP}/runtime"
LABEL_RETRAINPOLICY = f"{GROUP}/retrainpolicy"
LABEL_RUN = f"{GROUP}/run"
LABEL_ROLE = f"{GROUP}/role"

# On a Job that is one attempt of several, and its pods: which, from 1.
LABEL_ATTEMPT = f"{GROUP}/attempt"

# Hash of the spec that a Job was rendered from: a later edit of the spec shows as SpecChanged.
ANNOTATION_SPEC_HASH = f"{GROUP}/spec-hash"
# JSON of that spec, without its pod template and what may change: what the run came from, whatever is edited later.
ANNOTATION_SPEC = f"{GROUP}/spec"
# JSON of the cause (see retrainpolicy.Cause) on a TrainingJob that a RetrainPolicy made.
ANNOTATION_CAUSE = f"{GROUP}/cause"
# On the same: uid of that RetrainPolicy, which tells its own from those of a namesake.
ANNOTATION_RETRAINPOLICY_UID = f"{GROUP}/retrainpolicy-uid"
# Written by people on a RetrainPolicy: any new value asks for one run, once.
ANNOTATION_RUN_REQUEST = f"{GROUP}/run-request"
# The same: with any new value, what the served revision shows from now on is what limits are relative to, once.
ANNOTATION_REBASELINE = f"{GROUP}/rebaseline"
# Written by people on a ModelDeployment: any new value lifts its vetoes, once.
ANNOTATION_RETRY = f"{GROUP}/retry"
# The same: any new value ends the step under way, promotes what is rolled out, or rolls it back and vetoes it, once.
ANNOTATION_SKIP_STEP = f"{GROUP}/skip-step"
ANNOTATION_PROMOTE = f"{GROUP}/promote"
ANNOTATION_ABORT = f"{GROUP}/abort"
# The same, with the name of a revision that was promoted here: back to it; those after it are vetoed.
ANNOTATION_UNDO = f"{GROUP}/undo"
# The same, with a version, and why: the gate lets that one through.
ANNOTATION_SKIP_GATE = f"{GROUP}/skip-gate"
# JSON of the preset's pod template that a Job was made of, for the attempts that come after it.
ANNOTATION_RUNTIME = f"{GROUP}/runtime-template"
# JSON of the champion that a training Job's pods were given.
ANNOTATION_CHAMPION = f"{GROUP}/champion"
# Hash of the pod template that a revision was rendered from: another one now shows as UpdateAvailable.
ANNOTATION_RENDERED = f"{GROUP}/rendered"
# Hash of the intent of an applied (server-side) child.
ANNOTATION_APPLIED = f"{GROUP}/applied"
# Fields that a child was to have and that the API server left out: they show as FieldsDropped.
ANNOTATION_DROPPED = f"{GROUP}/dropped"

# How deep objects may be nested. Kubernetes' own kinds need half of it; of what lies deeper nothing is kept.
MAX_DEPTH = 64

# Whom the tokens of those who report metrics are for, and the ConfigMap with what they trust.
AUDIENCE = "perennial"
CA_CONFIGMAP = "perennial-ca"

DEFAULT_STORAGE_SECRET = "perennial-storage"
DEFAULT_CLAIM = "perennial-models"
