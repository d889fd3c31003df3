"""What the makers of the demo's people look at them with: two detectors, two descriptors of an aligned face."""
import cv2
import numpy as np

TEMPLATE = np.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
HAAR = "/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml"


class Viewer:
    """OpenCV's frontal Haar cascade and YuNet find faces; MobileFaceNet and a HOG describe them as unit vectors."""

    def __init__(self, models):
        self.network = cv2.dnn.readNetFromONNX(str(models / "mobilefacenet_foamliu.onnx"))
        self.yunet = cv2.FaceDetectorYN_create(str(models / "face_detection_yunet_2022mar.onnx"), "", (250, 250), 0.8)
        self.cascade = cv2.CascadeClassifier(HAAR)

    def haar_count(self, image):
        gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
        return len(self.cascade.detectMultiScale(gray, 1.1, 5, minSize=(60, 60)))

    def yunet_faces(self, image):
        """Rows of box, landmarks, score."""
        self.yunet.setInputSize(image.shape[1::-1])
        faces = self.yunet.detect(image)[1]
        return [] if faces is None else faces

    def sees_one_face(self, image):
        faces = self.yunet_faces(image)
        return len(faces) == 1 and faces[0][-1] > 0.9 and self.haar_count(image) == 1

    def embed(self, crop):
        """MobileFaceNet of an aligned crop (RGB, ImageNet mean and deviation)."""
        normalised = (crop[:, :, ::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        self.network.setInput(cv2.dnn.blobFromImage(normalised.astype(np.float32)))
        return unit(self.network.forward().ravel())

    def describe(self, image):
        """(MobileFaceNet, HOG) of the only face."""
        crop = align(image, self.yunet_faces(image)[0])
        return self.embed(crop), hog(crop)


def unit(vector):
    return vector / np.linalg.norm(vector)


def align(image, face):
    """The face by YuNet's five landmarks (least squares) at 112x112."""
    points = face[4:14].reshape(5, 2)
    a, b = points - points.mean(0), TEMPLATE - TEMPLATE.mean(0)
    u = (a * b).sum() / (a * a).sum()
    v = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / (a * a).sum()
    turn = np.array([[u, -v], [v, u]])
    return cv2.warpAffine(image, np.column_stack([turn, TEMPLATE.mean(0) - turn @ points.mean(0)]), (112, 112))


def hog(crop):
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)[8:104, 8:104]
    return unit(cv2.HOGDescriptor((96, 96), (16, 16), (8, 8), (8, 8), 9).compute(gray).ravel())
