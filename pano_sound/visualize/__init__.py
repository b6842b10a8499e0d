"""Pictures for people: saliency overlays."""
