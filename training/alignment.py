"""Finding and aligning a face: YuNet's five landmarks, mapped to fixed points of a 112x112 crop."""

import pathlib

import cv2
import numpy as np

from .data import CROP_SIDE

DETECTOR_FILE = "models/face_detection_yunet_2022mar.onnx"
# Eyes, nose, corners of the mouth, in the order in which YuNet lists them (the viewer's left first).
LANDMARKS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366],
                      [41.5493, 92.3655], [70.7299, 92.2041]], np.float32)


class FaceNotFound(Exception):
    pass


def similarity_between(points, targets):
    """The 2x3 similarity transform that maps points to targets with the least squared error."""
    count = len(points)
    system = np.zeros((2 * count, 4))
    system[:count] = np.column_stack((points[:, 0], -points[:, 1], np.ones(count), np.zeros(count)))
    system[count:] = np.column_stack((points[:, 1], points[:, 0], np.zeros(count), np.ones(count)))
    a, b, x, y = np.linalg.lstsq(system, np.concatenate((targets[:, 0], targets[:, 1])), None)[0]
    return np.array([[a, -b, x], [b, a, y]])


class YuNetAligner:
    """Aligns the face nearest to the centre of an image."""

    def __init__(self, faces_directory):
        path = str(pathlib.Path(faces_directory) / DETECTOR_FILE)
        self._detector = cv2.FaceDetectorYN.create(path, "", (250, 250), 0.5)

    def landmarks(self, image_bgr):
        height, width = image_bgr.shape[:2]
        self._detector.setInputSize((width, height))
        faces = self._detector.detect(image_bgr)[1]
        if faces is None:
            raise FaceNotFound("No face was found in the image.")
        centres = faces[:, :2] + faces[:, 2:4] / 2
        nearest = np.abs(centres - (width / 2, height / 2)).sum(1).argmin()
        return faces[nearest, 4:14].reshape(5, 2)

    def align(self, image_bgr):
        """The aligned 112x112 RGB crop."""
        transform = similarity_between(self.landmarks(image_bgr), LANDMARKS)
        crop = cv2.warpAffine(image_bgr, transform, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR)
        return np.ascontiguousarray(crop[:, :, ::-1])
