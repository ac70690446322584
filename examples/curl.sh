#!/bin/sh
# The service by curl: sh examples/curl.sh [URL]; each call is followed by its answer.
set -eu
url="${1:-http://localhost:3000}"

# One text.
curl -sS --fail-with-body "$url/predict" -H 'Content-Type: application/json' \
  -d '{"text": "I finally passed the exam!"}'; echo

# Several texts; the empty one gets an error of its own, the others are answered.
curl -sS --fail-with-body "$url/predict" -H 'Content-Type: application/json' \
  -d '{"texts": ["I miss her so much.", "", "Thanks for nothing."]}'; echo

# The three most probable labels, another policy, one threshold of one's own, and a deadline.
curl -sS --fail-with-body "$url/predict" -H 'Content-Type: application/json' -H 'X-Request-Timeout-Ms: 2000' \
  -d '{"text": "What a day.", "policy": "half", "thresholds": {"joy": 0.3}, "top_k": 3}'; echo

# Ekman's six emotions, with the probability of each.
curl -sS --fail-with-body "$url/predict" -H 'Content-Type: application/json' \
  -d '{"text": "The dog ate my homework again.", "taxonomy": "ekman", "probabilities": true}'; echo

# Labels, policies, metrics, verification and limits; then whether it is ready.
curl -sS --fail-with-body "$url/model"; echo
curl -sS --fail-with-body "$url/readyz"
